"""Names the image that a process was decoding when it died, since a crash in a decoder leaves no words.

Each thread writes the image's path to a file of its own while it decodes. After a crash, the supervisor looks there.
"""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_kept: list[Path] = []
"""The folder of these files; empty in a process that no supervisor started."""

_of_thread = threading.local()


def keep_in(folder: Path) -> None:
    """Keep them in a folder from now on, in this process and those that it forks."""
    folder.mkdir(exist_ok=True)
    _kept[:] = [folder]


@contextmanager
def of(path: Path) -> Iterator[None]:
    """Decode an image in the block."""
    if not _kept:
        yield
        return
    file = _file(_kept[0])
    os.pwrite(file, os.fsencode(path), 0)
    try:
        yield
    finally:
        os.ftruncate(file, 0)


def under_way(folder: Path) -> list[Path]:
    """Return the images that processes are decoding, or were when they died."""
    contents = [file.read_bytes() for file in sorted(folder.iterdir())] if folder.is_dir() else []
    return [Path(os.fsdecode(content)) for content in contents if content]


def _file(folder: Path) -> int:
    # A forked process inherits the open file of the thread that forked it.
    path = folder / f"{os.getpid()}-{threading.get_native_id()}"
    if getattr(_of_thread, "path", None) != path:
        _of_thread.path = path
        _of_thread.file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
    return int(_of_thread.file)
