"""Hard links, where the file system has them."""

import errno
import os
from pathlib import Path
from typing import Final

_NO_LINKS: Final = frozenset({errno.EPERM, errno.ENOTSUP, errno.EXDEV, errno.EMLINK, errno.ENOSYS})
"""Two file systems, one without hard links, a file of another user, a file with too many names."""


def link(source: Path, target: Path) -> bool:
    """Link a file; False where the file system cannot, so that it has to be copied.

    Raises:
        FileExistsError: there is a file at `target`.
    """
    try:
        # A hard link, not a symbolic one: the path stays inside its folder, and outlives the source.
        os.link(source.resolve(), target)
    except OSError as error:
        if error.errno in _NO_LINKS:
            return False
        raise
    return True
