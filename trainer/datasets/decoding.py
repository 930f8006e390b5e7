"""Names the image that a process was decoding when it died, since a crash in a decoder leaves no words.

Each thread writes the image's path to a file of its own while it decodes. After a crash, the supervisor looks there.
"""

import contextlib
import os
import threading
from collections.abc import Iterator
from pathlib import Path

_kept: list[Path] = []
"""The folder of these files; empty in a process that no supervisor started."""


def keep_in(folder: Path) -> None:
    """Keep these paths in a folder from now on, in this process and those that it forks."""
    folder.mkdir(exist_ok=True)
    _kept[:] = [folder]


class _Note:
    """A file for the image that a thread decodes, which is empty while it decodes none."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.process = os.getpid()
        self._path = folder / f"{self.process}-{threading.get_native_id()}"
        self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)

    def write(self, path: Path) -> None:
        os.pwrite(self._file, os.fsencode(path), 0)

    def clear(self) -> None:
        os.ftruncate(self._file, 0)

    def __del__(self) -> None:
        # When its thread ends. It has no file if that could not be opened.
        with contextlib.suppress(OSError, AttributeError):
            os.close(self._file)
            if self.process == os.getpid():
                self._path.unlink()


_of_thread = threading.local()


def _note(folder: Path) -> _Note:
    note: _Note | None = getattr(_of_thread, "note", None)
    # A forked process has the note of its parent's thread.
    if note is None or note.folder is not folder or note.process != os.getpid():
        note = _of_thread.note = _Note(folder)
    return note


@contextlib.contextmanager
def of(path: Path) -> Iterator[None]:
    """Keep the path of an image while the block decodes it."""
    if not _kept:
        yield
        return
    note = None
    # Such as a full disk, which is no fault of the image.
    with contextlib.suppress(OSError):
        note = _note(_kept[0])
        note.write(path)
    try:
        yield
    finally:
        if note is not None:
            with contextlib.suppress(OSError):
                note.clear()


def under_way(folder: Path) -> list[Path]:
    """Return the images that processes are decoding, or were when they died."""
    found: list[Path] = []
    for file in sorted(folder.glob("*")):
        with contextlib.suppress(FileNotFoundError):  # decoded meanwhile
            if content := file.read_bytes():
                found.append(Path(os.fsdecode(content)))
    return found
