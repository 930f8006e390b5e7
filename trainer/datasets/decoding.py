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


@contextlib.contextmanager
def of(path: Path) -> Iterator[None]:
    """Keep the path of an image while the block decodes it."""
    if not _kept:
        yield
        return
    # Not kept open: threads come and go, and the files that they left open would add up.
    file = _kept[0] / f"{os.getpid()}-{threading.get_native_id()}"
    # Such as a full disk, which is no fault of the image.
    with contextlib.suppress(OSError):
        file.write_bytes(os.fsencode(path))
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            file.unlink()


def under_way(folder: Path) -> list[Path]:
    """Return the images that processes are decoding, or were when they died."""
    found: list[Path] = []
    for file in sorted(folder.glob("*")):
        with contextlib.suppress(FileNotFoundError):  # decoded meanwhile
            if content := file.read_bytes():
                found.append(Path(os.fsdecode(content)))
    return found
