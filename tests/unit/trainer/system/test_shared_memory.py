"""How large /dev/shm is."""

import os
import sys
from pathlib import Path
from typing import Any

import pytest

from trainer.system.shared_memory import SharedMemory


def test_what_a_file_takes_is_not_free(tmp_path: Path) -> None:
    """The blocks of the file system that has the folder, as `df` counts them."""
    found, wanted = SharedMemory.now(tmp_path), os.statvfs(tmp_path)
    assert found.total == wanted.f_blocks * wanted.f_frsize
    assert 0 <= found.free <= found.total


def test_without_the_folder_there_is_none(tmp_path: Path) -> None:
    assert SharedMemory.now(tmp_path / "shm") == SharedMemory(total=0, free=0)


def test_a_file_system_without_a_limit_has_room_for_anything(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel says 0 blocks of a tmpfs that was mounted with `size=0`."""
    real = os.statvfs(tmp_path)

    def unlimited(_: Any) -> os.statvfs_result:
        return os.statvfs_result([real.f_bsize, real.f_frsize, 0, 0, 0, *list(real)[5:]])

    monkeypatch.setattr(os, "statvfs", unlimited)
    assert SharedMemory.now(tmp_path) == SharedMemory(total=sys.maxsize, free=sys.maxsize)
