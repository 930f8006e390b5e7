"""Receipts: a stage is done when its receipt says so, and for as long as what it made is still there.

A receipt's fingerprint covers the stage's inputs: the run's description and the outputs of the stage
before. So a change anywhere up the road makes every later receipt void.
"""

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from trainer.errors import SpecError
from trainer.formats import typed_json
from trainer.formats.canonical_json import digest
from trainer.run.workdir import WorkDir
from trainer.state.checkpoints import file_digest
from trainer.storage.keys import check_key
from trainer.system import atomic

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Receipt:
    """The note that a stage is done."""

    stage: str
    fingerprint: str
    """sha256 over the stage's inputs."""

    outputs: Mapping[str, Mapping[str, Any]]
    """What it made: path relative to the run's folder → size and sha256 (a folder: files and bytes)."""

    facts: Mapping[str, Any]
    """What it found, for the record and the report."""

    seconds: float
    """How long it took."""

    attempt: int = 0
    """The attempt that did it; the bucket keeps each attempt's apart."""

    @property
    def identity(self) -> str:
        """Name the outputs by their content, alike on every node: prepare's by the dataset's own digest."""
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
        """Give the receipt as it is stored."""
        return json.dumps(asdict(self), indent=1, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str | bytes, *, stage: str, source: str) -> "Receipt | None":
        """Read a receipt back; None if it cannot be the receipt of this stage, which is logged: the stage runs again.

        Args:
            text: the document.
            stage: the stage whose receipt was asked for.
            source: where the document is, for the log.
        """
        try:
            receipt = typed_json.decode(text, cls)
            if receipt.stage != stage:
                raise ValueError(f"it is of stage {receipt.stage!r}")
            for name in receipt.outputs:
                check_key(name)
        except (ValueError, SpecError) as error:
            log.warning("%s is not a receipt of stage %s and is ignored: %s", source, stage, error)
            return None
        return receipt

    @classmethod
    def read(cls, work: WorkDir, stage: str) -> "Receipt | None":
        """Read a stage's receipt, if there is one."""
        path = work.receipt(stage)
        return cls.from_json(path.read_bytes(), stage=stage, source=str(path)) if path.exists() else None


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
    return found


def files_of(work: WorkDir, folder: Path) -> list[str]:
    """Name every file of a folder, relative to the run's folder."""
    return sorted(str(path.relative_to(work.root)) for path in folder.rglob("*") if path.is_file())
