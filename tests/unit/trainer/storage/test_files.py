"""A folder as a store: conditions, links and what nobody may see."""

import errno
import fcntl
import os
import threading
from pathlib import Path

import pytest

from trainer.errors import ConflictError, NotFoundError, SpecError, TransientError
from trainer.storage import Store, files, open_store
from trainer.storage.base import HIDDEN
from trainer.storage.files import FileStore


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


def test_the_first_object_is_one_that_a_pull_would_bring(store: Store) -> None:
    store.put(".ipynb_checkpoints/a.png", b"1")
    store.put("a.png", b"")
    assert store.first() is None
    store.put("b.png", b"2")
    found = store.first()
    assert found
    assert found.key == "b.png"


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


def test_a_push_if_absent_replaces_nothing(store: Store, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(b"1")
    store.push({"x": source}, if_absent=True)
    store.push({"x": source}, if_absent=True)  # the same content, as of a push whose answer was lost
    source.write_bytes(b"2")
    with pytest.raises(ConflictError, match=r"/x already exists and was not overwritten\.$"):
        store.push({"x": source}, if_absent=True)
    assert store.get("x") == b"1"
    store.push({"x": source})
    assert store.get("x") == b"2"


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


def test_deleting_what_is_not_there_is_no_error(store: Store, folder: Path) -> None:
    store.put("a/b/c", b"")
    store.delete(["a/b/c", "never/there"])
    assert store.list() == []
    assert not (folder / "a").exists()


def test_an_edit_of_the_source_in_place_does_not_reach_what_was_pulled(
    store: Store, folder: Path, tmp_path: Path
) -> None:
    for name in ("1.JPG", "Label.txt"):
        store.put(name, b"before")
    store.pull(None, tmp_path / "dest")
    assert store.pull(None, tmp_path / "dest").moved_files == 0
    for name in ("1.JPG", "Label.txt"):
        (folder / name).write_bytes(b"after!")
        assert (tmp_path / "dest" / name).read_bytes() == b"before"


def test_a_loop_of_links_ends(store: Store, folder: Path) -> None:
    store.put("a/x", b"1")
    (folder / "a" / "again").symlink_to(folder)
    assert [o.key for o in store.list()] == ["a/x"]


def test_nobody_sees_a_scratch_file(store: Store, folder: Path) -> None:
    (folder / ".ocrfleet-0123").write_text("half")
    assert store.list() == []


def test_a_lock_that_another_process_keeps_is_an_error_with_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "LOCK", 0.05)
    store = FileStore(tmp_path)
    etag = store.put("a", b"1")
    with (tmp_path / f"{HIDDEN}lock").open("ab") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(TransientError, match=r"Another process has held .*lock for 0 s\. End it"):
            store.put("a", b"2", if_match=etag)
    assert store.get("a") == b"1"
    store.put("a", b"2", if_match=etag)


def test_a_lock_that_the_file_system_fails_to_give_is_not_taken_for_held(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As NFS does when its lock server goes away while a writer waits."""
    flock = fcntl.flock

    def failing(file: object, operation: int) -> None:
        if operation == fcntl.LOCK_EX:
            raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))
        flock(file, operation)  # type: ignore[arg-type]

    store = FileStore(tmp_path)
    etag = store.put("a", b"1")
    with (tmp_path / f"{HIDDEN}lock").open("ab") as held:
        flock(held, fcntl.LOCK_EX)
        monkeypatch.setattr(fcntl, "flock", failing)
        with pytest.raises(TransientError, match="Another process has held"):
            store.put("a", b"2", if_match=etag)
    assert store.get("a") == b"1"


@pytest.mark.timeout(10)
@pytest.mark.parametrize("what", ["FIFO", "character device"])
def test_a_file_that_would_keep_a_reader_waiting_is_refused_by_name(
    store: Store, folder: Path, tmp_path: Path, what: str
) -> None:
    """A channel's file, a dictionary, weights: whatever a location names."""
    if what == "FIFO":
        os.mkfifo(folder / "x")
    else:
        (folder / "x").symlink_to("/dev/zero")
    for deed in (store.get, store.etag, lambda key: store.pull([key], tmp_path / "dest")):
        with pytest.raises(SpecError) as caught:
            deed("x")
        assert str(caught.value) == f"{folder / 'x'} cannot be read: it is a {what}. Name a regular file."
