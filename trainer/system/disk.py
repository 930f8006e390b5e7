"""A full disk, said in a sentence: what cannot be written, and how much is free there."""

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
    """Give the error for a file that found no space; None when something else is wrong.

    Worth a retry: what was written half is not taken for whole, and the run goes on where it was.

    Args:
        error: what the system said.
        folder: where the files lie; a full disk does not always name the file.
    """
    if error.errno not in _FULL:
        return None
    place = next(path for path in (folder, *folder.absolute().parents) if path.is_dir())
    what = error.filename or f"A file in {folder}"
    return TransientError(
        f"{what} cannot be written: {error.strerror}; {shutil.disk_usage(place).free:,} bytes are free in {place}. "
        "Make space there, then run it again: it goes on where it was."
    )


@contextmanager
def watched(folder: Path) -> Iterator[None]:
    """Raise the error of `no_space` where a file of this folder finds none."""
    try:
        yield
    except OSError as error:
        full = no_space(error, folder)
        if full is None:
            raise
        raise full from error
