"""Weights that a run starts from or is taught by: what is known of them, and that they still are what was checked.

Workers read them with this, so it asks no bucket; `trainer/weights/origins.py` does.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from trainer.errors import TransientError
from trainer.state.checkpoints import file_digest
from trainer.system import atomic


@dataclass(frozen=True, kw_only=True)
class Origin:
    """Where weights are from."""

    uri: str
    """The file."""

    sha256: str
    """Digest of the file: as the job file pins it, or as the manifest of the run that published it has it."""

    run: str | None = None
    """The run that published it. None: not known to be one of ours."""

    dictionary: str | None = None
    """sha256 of the dictionary that a recogniser was trained with. None: a detector's, or not known."""

    def write(self, facts: Path) -> None:
        """Write it, whole or not at all."""
        atomic.write(facts, json.dumps(asdict(self), indent=1))

    @classmethod
    def read(cls, facts: Path) -> "Origin":
        """Read it back."""
        return cls(**json.loads(facts.read_text("utf-8")))


def dictionary_of(facts: Path) -> str | None:
    """Return the sha256 of the dictionary that weights were trained with; None where nothing is known of it.

    Args:
        facts: `WorkDir.pretrained_facts` or `WorkDir.teacher_facts`.
    """
    return Origin.read(facts).dictionary if facts.is_file() else None


def require(weights: Path, facts: Path) -> None:
    """Make sure that weights are still the ones that fetch checked; before every read.

    Raises:
        TransientError: they are missing or have changed. The file is removed, so the next start fetches it again.
    """
    if facts.is_file() and weights.is_file() and file_digest(weights) == Origin.read(facts).sha256:
        return
    weights.unlink(missing_ok=True)
    raise TransientError(
        f"{weights} is missing, or has changed since it was fetched, so it is not used. Run it again to fetch it again."
    )
