"""What every store can do: pulls, progress and the proof of conditional writes."""

from pathlib import Path

import pytest

from tests.unit.trainer.storage.made import _file, tree
from trainer.errors import NotFoundError
from trainer.storage import Store


def test_conditional_writes_are_proven_and_leave_nothing(store: Store, folder: Path) -> None:
    assert store.conditional_writes()
    assert store.list() == []
    assert [name for name in tree(folder) if "probe" in name] == []


def test_a_pull_brings_everything_and_a_second_one_nothing(store: Store, tmp_path: Path) -> None:
    store.put("Label.txt", b"labels")
    store.put("imgs/1.jpg", b"image")
    dest = tmp_path / "data" / "train"
    first = store.pull(None, dest)
    assert tree(dest) == {"Label.txt": b"labels", "imgs/1.jpg": b"image"}
    assert (first.files, first.moved_files, first.moved_bytes) == (2, 2, 11)
    assert first.digests["imgs/1.jpg"] == "6105d6cc76af400325e94d588ce511be5bfdbb73b437dc51eca43917d7a43e3d"
    before = (dest / "Label.txt").stat()
    second = store.pull(None, dest)
    assert (second.moved_files, second.moved_bytes, second.digests) == (0, 0, first.digests)
    assert (dest / "Label.txt").stat() == before


def test_the_folder_follows_the_location_but_others_files_stay(store: Store, tmp_path: Path) -> None:
    store.put("old", b"1")
    store.pull(None, tmp_path / "dest")
    (tmp_path / "dest" / "mine").write_text("mine")
    store.delete(["old"])
    store.put("new", b"2")
    store.pull(None, tmp_path / "dest")
    assert tree(tmp_path / "dest") == {"new": b"2", "mine": b"mine"}


def test_a_pull_of_some_keys_leaves_the_rest(store: Store, tmp_path: Path) -> None:
    for key in "abc":
        store.put(key, key.encode())
    store.pull(["a"], tmp_path / "dest")
    store.pull(["b"], tmp_path / "dest")
    assert tree(tmp_path / "dest") == {"a": b"a", "b": b"b"}
    with pytest.raises(NotFoundError):
        store.pull(["d"], tmp_path / "dest")


def test_progress_reaches_the_total(store: Store, tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    store.push({"a": _file(tmp_path, b"12345"), "b": _file(tmp_path, b"123")}, lambda *at: seen.append(at))
    assert seen[0] == (0, 8)
    assert seen[-1] == (8, 8)
    store.pull(None, tmp_path / "dest", lambda *at: seen.append(at))
    assert seen[-1] == (8, 8)
