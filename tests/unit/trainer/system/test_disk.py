"""A full disk is said in a sentence, and leaves nothing half behind."""

import errno
from pathlib import Path

import pytest

from tests.unit.trainer.system.full import full_beyond
from trainer.errors import TransientError
from trainer.storage import open_store
from trainer.system import disk


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_the_sentence_names_file_folder_and_free_space(tmp_path: Path, number: int) -> None:
    with (
        pytest.raises(
            TransientError, match=rf"^/x/y cannot be written: no room; [\d,]+ bytes are free in {tmp_path}\. "
        ),
        disk.watched(tmp_path / "not" / "there"),
    ):
        raise OSError(number, "no room", "/x/y")


def test_a_file_without_a_name_is_of_the_folder(tmp_path: Path) -> None:
    words = f"^A file in {tmp_path} cannot be written: File too large; "
    with pytest.raises(TransientError, match=words), disk.watched(tmp_path), full_beyond(10):
        (tmp_path / "x").write_bytes(b"x" * 100)


def test_another_fault_is_left_alone(tmp_path: Path) -> None:
    with pytest.raises(PermissionError), disk.watched(tmp_path):
        raise PermissionError(errno.EACCES, "no")


def test_a_full_store_has_the_old_content_or_none(tmp_path: Path) -> None:
    store = open_store((tmp_path / "store").as_uri())
    store.put("a", b"old")
    with full_beyond(10), pytest.raises(TransientError, match=f"in {tmp_path}/store cannot be written"):
        store.put("a", b"x" * 100)
    (tmp_path / "b").write_bytes(b"x" * 100)
    with full_beyond(10), pytest.raises(TransientError, match=f"in {tmp_path}/store cannot be written"):
        store.push({"b": tmp_path / "b"})
    assert {path.name for path in (tmp_path / "store").iterdir()} == {"a", ".ocrfleet-lock"}
    assert store.get("a") == b"old"


def test_a_pull_into_a_full_folder_goes_on_when_there_is_space(tmp_path: Path) -> None:
    store = open_store((tmp_path / "store").as_uri())
    store.put("a", b"1")
    store.put("b", b"2" * 100)
    with full_beyond(10), pytest.raises(TransientError, match=f"in {tmp_path}/dest cannot be written"):
        store.pull(None, tmp_path / "dest")
    assert not (tmp_path / "dest" / "b").exists()
    store.pull(None, tmp_path / "dest")
    assert {path.name: path.read_bytes() for path in (tmp_path / "dest").iterdir()} == {"a": b"1", "b": b"2" * 100}
