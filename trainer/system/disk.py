"""A full disk as an error: what cannot be written, and how much space is free there."""

import errno
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from trainer.errors import TransientError

_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
"""The disk is full, a quota is used up, a file may not become so large."""


def no_space(error: OSError, folder: Path) -> TransientError | None:
    """Return the error for a write that ran out of space; None when something else is wrong.

    A retry helps: a half-written file never counts as complete, and the run resumes where it left off.

    Args:
        error: the error of the operating system.
        folder: where the files are; the error of a full disk does not always name the file.
    """
    if error.errno not in _FULL:
        return None
    place = next(path for path in (folder, *folder.absolute().parents) if path.is_dir())
    what = error.filename or f"A file in {folder}"
    return TransientError(
        f"{what} cannot be written: {error.strerror}; {shutil.disk_usage(place).free:,} bytes are free in {place}. "
        "Free some space there, then run it again. It resumes where it left off."
    )


@contextmanager
def watched(folder: Path) -> Iterator[None]:
    """Turn an out-of-space error under this folder into the one of `no_space`."""
    try:
        yield
    except OSError as error:
        full = no_space(error, folder)
        if full is None:
            raise
        raise full from error
