"""Receipts: a stage is done when its receipt says so, and for as long as what it made is still there.

A receipt's fingerprint covers the stage's inputs: the run's description and the outputs of the stage
before. So a change anywhere up the road makes every later receipt void.
"""

import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from trainer.formats import typed_json
from trainer.formats.canonical_json import digest
from trainer.run.workdir import WorkDir
from trainer.state.checkpoints import file_digest
from trainer.system import atomic

log = logging.getLogger(__name__)

_LONGEST: Final = 1024
"""Characters of an output's name; keys of S3 have no more bytes, and paths of Linux at most 4096."""


class Receipt(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The note that a stage is done."""

    stage: str
    fingerprint: str
    """sha256 over the stage's inputs."""

    outputs: Mapping[str, Mapping[str, Any]]
    """What it made: path relative to the run's folder → size and sha256.

    A folder has the number of its files and bytes, and prepare's also the sha256 of each list of samples.
    """

    facts: Mapping[str, Any]
    """What it found, for the record and the report."""

    seconds: float
    """How long it took."""

    attempt: int = 0
    """The attempt that did it; the bucket keeps each attempt's apart."""

    @property
    def identity(self) -> str:
        """Name the outputs by their content, alike on every node: prepare's by its samples and its dictionary."""
        if dictionary := self.facts.get("dictionary_digest"):
            return digest([self.facts.get("digest"), dictionary])
        return str(self.facts.get("digest") or digest({"stage": self.stage, "outputs": self.outputs}))

    def holds(self, work: WorkDir, *, fingerprint: str) -> bool:
        """Whether the inputs are the same and every output is there as it was written."""
        return self.fingerprint == fingerprint and self.outputs == measure(work, list(self.outputs))

    def write(self, work: WorkDir) -> None:
        """Write the receipt: a stage's last act."""
        path = work.receipt(self.stage)
        path.parent.mkdir(parents=True, exist_ok=True)
        atomic.write(path, self.to_json())

    def to_json(self) -> str:
        """Return the receipt as it is stored."""
        return json.dumps(msgspec.structs.asdict(self), indent=1, ensure_ascii=False)

    @classmethod
    def decode(cls, content: bytes, *, stage: str, place: str, attempt: int | None = None) -> "Receipt | None":
        """Read a receipt back; None if it is damaged, which the log says: its stage is done again.

        Args:
            content: the receipt as it is stored.
            stage: the stage that it must be of. Its outputs must lie in the folders of that stage.
            place: where it is stored, for the log.
            attempt: the attempt that it must be of; None: any.
        """
        try:
            receipt = typed_json.decode(content, cls)
            if receipt.stage != stage or attempt not in (None, receipt.attempt):
                raise ValueError("it is of another stage or attempt")
            if strange := [name for name in receipt.outputs if not _made_by(stage, name)]:
                raise ValueError(f"{stage} does not make {strange[0]!r}")
        except ValueError as error:
            log.warning("The receipt %s is damaged, so %s is done again: %s", place, stage, error)
            return None
        return receipt

    @classmethod
    def read(cls, work: WorkDir, stage: str) -> "Receipt | None":
        """Read a stage's receipt, if there is one."""
        path = work.receipt(stage)
        return cls.decode(path.read_bytes(), stage=stage, place=str(path)) if path.exists() else None


def _made_by(stage: str, name: str) -> bool:
    """Return whether a stage may have made a file or folder of this name, relative to the run's folder."""
    folder, *parts = name.split("/")
    made = folder in {path.name for path in WorkDir(Path()).outputs(stage)}
    return made and not {"", ".", ".."} & {*parts} and len(name) <= _LONGEST


def measure(work: WorkDir, outputs: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Measure files and folders under the run's folder as they are now; what is missing is left out."""
    found: dict[str, dict[str, Any]] = {}
    for name in outputs:
        path = work.root / name
        if path.is_file():
            found[name] = {"size": path.stat().st_size, "sha256": file_digest(path)}
        elif path.is_dir():
            # A dataset has many files: their number and bytes tell of a loss, prepare reads each one anyhow.
            sizes = [p.stat().st_size for p in path.rglob("*") if p.is_file()]
            found[name] = {"files": len(sizes), "bytes": sum(sizes)}
            if path == work.prepared:
                # What training reads, except the images.
                listed = sorted(p for p in path.iterdir() if p.suffix in (".json", ".jsonl", ".txt") and p.is_file())
                found[name]["sha256"] = {p.name: file_digest(p) for p in listed}
    return found


def files_of(work: WorkDir, folder: Path) -> list[str]:
    """Name every file of a folder, relative to the run's folder."""
    return sorted(str(path.relative_to(work.root)) for path in folder.rglob("*") if path.is_file())
