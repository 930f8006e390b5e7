"""Checkpoints as folders and as objects: which are whole, which is newest, which may go.

Paddle-free: `trainer/ppocr/state.py` fills a folder, this module seals, checks, pushes and pulls it. A
folder without `checkpoint.json`, which is written last, does not exist for a reader.
"""

import hashlib
import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from trainer.errors import NotFoundError, TransientError
from trainer.system import atomic

if TYPE_CHECKING:  # a worker seals and checks folders, and needs no bucket
    from trainer.storage import Store

SEAL: Final = "checkpoint.json"


def file_digest(path: Path) -> str:
    """Give a file's sha256 as 64 hex digits."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def seal(folder: Path, *, facts: Mapping[str, Any]) -> None:
    """Write the note that makes a folder a checkpoint: its files with sizes and digests, and the facts."""
    files = {p.name: {"size": p.stat().st_size, "sha256": file_digest(p)} for p in sorted(folder.iterdir())}
    atomic.write(folder / SEAL, json.dumps({"files": files, "facts": facts}))


def verified(folder: Path) -> dict[str, Any]:
    """Give a checkpoint's facts after comparing every file with its digest.

    Raises:
        TransientError: a file is missing or differs; an older checkpoint or another attempt can help.
    """
    note = json.loads((folder / SEAL).read_text("utf-8"))
    for name, wanted in note["files"].items():
        path = folder / name
        if not path.exists() or file_digest(path) != wanted["sha256"]:
            raise TransientError(f"The checkpoint {folder} is damaged: {name!r}. Remove the folder and run it again.")
    facts: dict[str, Any] = note["facts"]
    return facts


def local(folder: Path) -> list[Path]:
    """Give the whole checkpoints of a folder, oldest first."""
    return sorted(p for p in folder.glob("[0-9]*") if (p / SEAL).exists()) if folder.is_dir() else []


def prune(folder: Path, *, keep: int) -> None:
    """Remove all but the newest `keep` checkpoints, and what a killed save has left."""
    for path in [*local(folder)[:-keep], *folder.glob(".*.tmp")]:
        shutil.rmtree(path)


@dataclass(frozen=True, kw_only=True)
class Remote:
    """The checkpoints of a run in the bucket: `<attempt>/<step>/…` under the run's prefix."""

    store: "Store"
    """The store at `<output>/checkpoints/<run>`."""

    def steps(self) -> list[tuple[int, int]]:
        """Give (attempt, step) of every whole checkpoint, oldest first."""
        found = []
        for info in self.store.list():
            attempt, *rest = info.key.split("/")
            if attempt.isdigit() and len(rest) == 2 and rest[0].isdigit() and rest[1] == SEAL:
                found.append((int(attempt), int(rest[0])))
        return sorted(found)

    def push(self, folder: Path, *, attempt: int) -> int:
        """Push a checkpoint, its seal last; give the bytes sent."""
        prefix = f"{attempt}/{folder.name}"
        files = {f"{prefix}/{p.name}": p for p in folder.iterdir() if p.name != SEAL}
        self.store.push(files)
        self.store.push({f"{prefix}/{SEAL}": folder / SEAL})
        return sum(p.stat().st_size for p in folder.iterdir())

    def pull_newest(self, into: Path, *, newer_than: int) -> Path | None:
        """Pull the newest checkpoint of the latest attempt that has one, if it is past a step.

        Args:
            into: the folder of local checkpoints.
            newer_than: the newest step that is there already; -1 for none.
        """
        landing = into / ".pulled"
        while True:
            steps = self.steps()
            if not steps or steps[-1][1] <= newer_than:
                return None
            attempt, step = steps[-1]
            folder, prefix = into / f"{step:08d}", f"{attempt}/{step:08d}"
            try:
                self.store.pull([info.key for info in self.store.list(f"{prefix}/")], landing)
            except NotFoundError:
                # An older object that does not know yet that it is superseded has pushed newer ones, and pruned this.
                if self.steps()[-1:] == [(attempt, step)]:
                    raise
                continue
            break
        verified(landing / prefix)
        atomic.replace_folder(landing / prefix, folder)
        shutil.rmtree(landing)
        return folder

    def prune(self, *, keep: int) -> None:
        """Remove all but the newest `keep` checkpoints: each seal first, so that none is seen half."""
        for attempt, step in self.steps()[:-keep]:
            prefix = f"{attempt}/{step:08d}/"
            keys = [info.key for info in self.store.list(prefix)]
            self.store.delete([f"{prefix}{SEAL}"])
            self.store.delete([key for key in keys if not key.endswith(f"/{SEAL}")])
