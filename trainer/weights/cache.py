"""A place for weights that several runs share: each file under its own digest, fetched and checked once.

Nobody waits for anybody there. Each fetches into a folder of its own, and puts the file onto the shelf whole, by a
rename; of two that do so at once one is kept, and they are equal. What lies there can be removed at any time: a run
that uses it has a link of its own, or a copy.
"""

import contextlib
import errno
import logging
import os
import secrets
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from trainer.state.checkpoints import file_digest

log = logging.getLogger(__name__)

_NO_LINKS: Final = frozenset({errno.EPERM, errno.ENOTSUP, errno.EXDEV, errno.EMLINK, errno.ENOSYS})
"""Two file systems, one without hard links, or a file of another user."""


@dataclass(frozen=True)
class Shelf:
    """Weights by their digest."""

    folder: Path

    def take(self, sha256: str, dest: Path, *, fetch: Callable[[], Path]) -> None:
        """Bring the file of a digest to its place, from here or from afar.

        Args:
            sha256: which.
            dest: where; what is there is replaced.
            fetch: brings the file from afar and gives its path, after making sure of its digest.
        """
        kept = self.folder / f"{sha256}.pdparams"
        if kept.is_file() and _from_shelf(kept, dest, sha256=sha256):
            return
        source = fetch()
        self.folder.mkdir(parents=True, exist_ok=True)
        for target in (kept, dest):
            with _beside(target) as temporary:
                _link_or_copy(source, temporary)
                os.replace(temporary, target)


def _from_shelf(kept: Path, dest: Path, *, sha256: str) -> bool:
    """Take a file over if it is whole; what is compared is the run's own link, so that it stays what it was found."""
    with _beside(dest) as temporary:
        try:
            _link_or_copy(kept, temporary)
        except FileNotFoundError:
            return False  # removed since
        if file_digest(temporary) != sha256:
            log.warning("%s is damaged, so it is fetched again.", kept)
            return False
        os.replace(temporary, dest)
    return True


@contextlib.contextmanager
def _beside(target: Path) -> Iterator[Path]:
    """Give a path beside a file for its next content; removed at the end when it was not renamed."""
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(4)}.tmp")
    try:
        yield temporary
    finally:
        temporary.unlink(missing_ok=True)


def _link_or_copy(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        shutil.copyfile(source, target)
    # Its other names would change with it.
    with contextlib.suppress(PermissionError):
        target.chmod(0o444)
