"""The store on a folder, and the rules that hold for every store."""

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainer.errors import AccessError, ConflictError, NotFoundError, SpecError
from trainer.storage import Store, join_uri, open_store, split_uri
from trainer.storage.keys import below, check_key, check_tree


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "store").mkdir()
    return tmp_path / "store"


@pytest.fixture
def store(folder: Path) -> Store:
    return open_store(folder.as_uri())


def tree(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@given(st.text(alphabet=st.sampled_from("ab./\\\0\n~% é"), min_size=0, max_size=12) | st.text(max_size=300))
def test_a_key_is_a_path_below_the_folder_or_is_refused(key: str) -> None:
    """No key leads out of the folder it is pulled into, however it is spelled."""
    root = Path("/nowhere/dest")
    try:
        path = below(root, key)
    except SpecError:
        return
    assert Path(os.path.normpath(path)).is_relative_to(root)
    assert Path(os.path.normpath(path)) != root
    assert path.relative_to(root).as_posix() == key  # two keys are never one file


@pytest.mark.parametrize("key", ["", "/etc/passwd", "../x", "a/../../x", "a//b", "a/", ".", "a/./b", "a\0b", "é" * 200])
def test_a_key_that_no_file_can_have_is_refused(key: str) -> None:
    with pytest.raises(SpecError, match="cannot be a file name"):
        check_key(key)


def test_a_key_that_is_both_file_and_folder_is_refused() -> None:
    with pytest.raises(SpecError, match=r"both 'a/b' and 'a/b/c/d'"):
        check_tree(["a/b/c/d", "a/b", "e"], where="s3://x/")


@pytest.mark.parametrize("uri", ["gs://b/x", "s3:///x", "file://host/x", "/data", "https://me:secret@host/x"])
def test_an_unknown_location_is_refused_without_its_password(uri: str) -> None:
    with pytest.raises(SpecError, match=r"is not supported\. Use s3://BUCKET/PREFIX/ or file:///FOLDER/") as caught:
        open_store(uri)
    assert "secret" not in str(caught.value)


def test_locations_are_joined_and_divided() -> None:
    assert join_uri("s3://b/x/", "runs", "r1") == "s3://b/x/runs/r1"
    assert split_uri("s3://b/x/y.pdparams") == ("s3://b/x/", "y.pdparams")
    assert split_uri("file:///x/y%20z") == ("file:///x/", "y z")
    with pytest.raises(SpecError, match="is a folder"):
        split_uri("s3://b/x/")


def test_s3_without_credentials_is_refused_with_what_to_set() -> None:
    with pytest.raises(AccessError, match="AWS_ACCESS_KEY_ID"):
        open_store("s3://bucket/x")


def test_what_is_put_is_listed_and_read(store: Store) -> None:
    etag = store.put("a/ü b.txt", b"one")
    assert store.read("a/ü b.txt") == (b"one", etag)
    assert [(o.key, o.size, o.etag) for o in store.list()] == [("a/ü b.txt", 3, etag)]
    assert [o.key for o in store.list("a/")] == ["a/ü b.txt"]
    assert store.list("b") == []
    assert store.etag("a/ü b.txt") == etag


def test_nothing_there_is_an_empty_list_but_a_missing_object_is_an_error(tmp_path: Path) -> None:
    store = open_store((tmp_path / "not-made-yet").as_uri())
    assert store.list() == []
    with pytest.raises(NotFoundError, match="does not exist"):
        store.get("x")
    with pytest.raises(NotFoundError, match="does not exist"):
        store.etag("x")


def test_a_condition_that_does_not_hold_writes_nothing(store: Store) -> None:
    first = store.put("x", b"1", if_absent=True)
    with pytest.raises(ConflictError):
        store.put("x", b"2", if_absent=True)
    second = store.put("x", b"3", if_match=first)
    with pytest.raises(ConflictError):
        store.put("x", b"4", if_match=first)
    with pytest.raises(ConflictError):
        store.put("not-there", b"4", if_match=first)
    assert store.read("x") == (b"3", second)


def test_of_many_writers_of_an_absent_object_one_succeeds(store: Store) -> None:
    won: list[int] = []
    barrier = threading.Barrier(8)

    def write(number: int) -> None:
        barrier.wait(5)
        try:
            store.put("x", str(number).encode() * 1000, if_absent=True)
        except ConflictError:
            return
        won.append(number)

    threads = [threading.Thread(target=write, args=(n,)) for n in range(8)]
    [t.start() for t in threads]
    [t.join(10) for t in threads]
    assert len(won) == 1
    assert store.get("x") == str(won[0]).encode() * 1000


def test_increments_by_condition_are_never_lost(store: Store) -> None:
    store.put("n", b"0")

    def increment() -> None:
        for _ in range(20):
            while True:
                data, etag = store.read("n")
                try:
                    store.put("n", str(int(data) + 1).encode(), if_match=etag)
                    break
                except ConflictError:
                    continue

    threads = [threading.Thread(target=increment) for _ in range(4)]
    [t.start() for t in threads]
    [t.join(20) for t in threads]
    assert store.get("n") == b"80"


def test_conditional_writes_are_proven_and_leave_nothing(store: Store, folder: Path) -> None:
    assert store.conditional_writes()
    assert store.list() == []
    assert [name for name in tree(folder) if "probe" in name] == []


def test_deleting_what_is_not_there_is_no_error(store: Store, folder: Path) -> None:
    store.put("a/b/c", b"")
    store.delete(["a/b/c", "never/there"])
    assert store.list() == []
    assert not (folder / "a").exists()


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


def test_a_pull_that_was_killed_goes_on_where_it_was(store: Store, tmp_path: Path) -> None:
    for number in range(10):
        store.put(f"{number}", b"12345678")
    code = (
        "import os, pathlib, sys; from trainer.storage import open_store\n"
        "die = lambda done, total: done >= 56 and os.kill(os.getpid(), 9)\n"
        "open_store(sys.argv[1]).pull(None, pathlib.Path(sys.argv[2]), die)"
    )
    done = subprocess.run([sys.executable, "-c", code, store.uri, str(tmp_path / "dest")], check=False, timeout=30)
    assert done.returncode == -9
    assert store.pull(None, tmp_path / "dest").moved_files == 3
    assert len(tree(tmp_path / "dest")) == 10


@pytest.mark.parametrize("damage", ["changed", "removed", "same size"])
def test_a_pulled_file_that_was_damaged_is_brought_again(store: Store, tmp_path: Path, damage: str) -> None:
    store.put("x", b"right")
    store.pull(None, tmp_path / "dest")
    copy = tmp_path / "dest" / "x"
    copy.unlink() if damage == "removed" else copy.write_bytes(b"wrong!" if damage == "changed" else b"wrong")
    assert store.pull(None, tmp_path / "dest").moved_files == 1
    assert copy.read_bytes() == b"right"


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


def test_images_are_linked_and_labels_are_copied(store: Store, folder: Path, tmp_path: Path) -> None:
    """Editing a label file of the source in place does not reach into a run; images cost no disk."""
    store.put("1.JPG", b"image")
    store.put("Label.txt", b"labels")
    store.pull(None, tmp_path / "dest", link={".jpg"})
    assert (tmp_path / "dest" / "1.JPG").samefile(folder / "1.JPG")
    assert not (tmp_path / "dest" / "Label.txt").samefile(folder / "Label.txt")
    assert store.pull(None, tmp_path / "dest", link={".jpg"}).moved_files == 0


def test_progress_reaches_the_total(store: Store, tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    store.push({"a": _file(tmp_path, b"12345"), "b": _file(tmp_path, b"123")}, lambda *at: seen.append(at))
    assert seen[0] == (0, 8)
    assert seen[-1] == (8, 8)
    store.pull(None, tmp_path / "dest", lambda *at: seen.append(at))
    assert seen[-1] == (8, 8)


def test_a_folder_linked_out_of_the_destination_is_not_written_through(store: Store, tmp_path: Path) -> None:
    store.put("sub/x", b"1")
    (tmp_path / "dest").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "dest" / "sub").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(SpecError, match="is a link that leads out of"):
        store.pull(None, tmp_path / "dest")
    assert tree(tmp_path / "elsewhere") == {}


def test_a_loop_of_links_ends(store: Store, folder: Path) -> None:
    store.put("a/x", b"1")
    (folder / "a" / "again").symlink_to(folder)
    assert [o.key for o in store.list()] == ["a/x"]


def test_nobody_sees_a_scratch_file(store: Store, folder: Path) -> None:
    (folder / ".ocrfleet-0123").write_text("half")
    assert store.list() == []


def _file(folder: Path, data: bytes) -> Path:
    path = folder / f"file-{len(data)}"
    path.write_bytes(data)
    return path
