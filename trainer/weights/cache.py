"""A place for weights that several runs share: each file under its own digest, fetched and checked once.

Nobody waits for anybody there. Each fetches into a folder of its own, and puts the file onto the shelf whole, by a
rename; of two that do so at once one is kept, and they are equal. What lies there can be removed at any time: a run
that uses it has a link of its own, or a copy.
"""

import contextlib
import logging
import shutil
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from trainer.state.checkpoints import file_digest
from trainer.system import atomic
from trainer.system.links import link

log = logging.getLogger(__name__)


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
            with _new(target) as new:
                _link_or_copy(source, new)
                atomic.replace(new, target)


def _from_shelf(kept: Path, dest: Path, *, sha256: str) -> bool:
    """Take a file over if it is whole; what is compared is the run's own link, so that it stays what it was found."""
    with _new(dest) as new:
        try:
            _link_or_copy(kept, new)
        except FileNotFoundError:
            return False  # removed since
        if file_digest(new) != sha256:
            log.warning("%s is damaged, so it is fetched again.", kept)
            return False
        atomic.replace(new, dest)
    return True


def _new(target: Path) -> AbstractContextManager[Path]:
    """Name the next content of a file that several runs may put there at once."""
    return atomic.temporary(target, prefix=f".{target.name}.")


def _link_or_copy(source: Path, target: Path) -> None:
    if not link(source, target):
        shutil.copyfile(source, target)
    # Its other names would change with it.
    with contextlib.suppress(PermissionError):
        target.chmod(0o444)
