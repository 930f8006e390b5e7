"""An image that is being decoded is named, by whichever process and thread, until it is decoded."""

import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from trainer.datasets import decoding

PAGE, OTHER = Path("/data/page ä.jpg"), Path("/data/b.png")


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    decoding.keep_in(tmp_path / "decoding")
    yield tmp_path / "decoding"
    decoding._kept.clear()


def test_an_image_is_named_while_it_is_decoded(folder: Path) -> None:
    with decoding.of(PAGE):
        assert decoding.under_way(folder) == [PAGE]
    with decoding.of(OTHER):
        assert decoding.under_way(folder) == [OTHER]
    assert decoding.under_way(folder) == []


def test_one_that_cannot_be_decoded_is_not_named_afterwards(folder: Path) -> None:
    with pytest.raises(ValueError, match="no"), decoding.of(PAGE):
        raise ValueError("no")
    assert decoding.under_way(folder) == []


def test_threads_and_forked_processes_do_not_write_over_each_other(folder: Path) -> None:
    def decode() -> None:
        with decoding.of(OTHER):
            if os.fork() == 0:
                with decoding.of(Path("/data/c.png")):
                    os.kill(os.getpid(), signal.SIGKILL)
            os.wait()
            seen.append(decoding.under_way(folder))

    seen: list[list[Path]] = []
    with decoding.of(PAGE):
        thread = threading.Thread(target=decode)
        thread.start()
        thread.join()
    assert {*seen[0]} == {PAGE, OTHER, Path("/data/c.png")}
    assert decoding.under_way(folder) == [Path("/data/c.png")]


def test_without_a_folder_nothing_is_kept(tmp_path: Path) -> None:
    with decoding.of(PAGE):
        assert decoding.under_way(tmp_path / "decoding") == []


def test_a_thread_that_ends_leaves_no_open_file(folder: Path) -> None:
    """An epoch without reader processes has a thread of its own, and a run may have thousands of epochs."""

    def decode() -> None:
        with decoding.of(PAGE):
            pass

    before = len(os.listdir("/proc/self/fd"))
    for _ in range(20):
        thread = threading.Thread(target=decode)
        thread.start()
        thread.join()
    assert len(os.listdir("/proc/self/fd")) == before
    assert list(folder.iterdir()) == []


def test_an_image_whose_name_cannot_be_kept_is_still_decoded(folder: Path) -> None:
    """A full disk is no fault of the image."""
    folder.rmdir()
    with decoding.of(PAGE):
        decoded = True
    assert decoded
