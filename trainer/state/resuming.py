"""The checkpoint that training resumes from: the newest whole one, of the same data.

Damaged ones are passed over and named. The job file decides what happens when none is whole, or when the data changed.
"""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trainer.errors import DatasetError, SpecError
from trainer.run.spec import RunSpec
from trainer.state import checkpoints
from trainer.state.checkpoints import DamagedError, Data, Note, Remote, Signatures
from trainer.telemetry.events import Hear, Notice


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """A whole checkpoint."""

    folder: Path
    """On rank 0's node; another node need not have it."""

    note: Note

    @property
    def facts(self) -> dict[str, Any]:
        """How far training is."""
        return self.note.facts

    @property
    def step(self) -> int:
        """The last step."""
        return int(self.folder.name)


def newest(folder: Path, *, signatures: Signatures | None = None) -> tuple[Checkpoint | None, dict[Path, str]]:
    """Return the newest whole checkpoint of a folder, and newer ones that are damaged: why.

    Args:
        folder: the local checkpoints.
        signatures: checks that they are signed; None in a worker.
    """
    damaged: dict[Path, str] = {}
    for path in reversed(checkpoints.local(folder)):
        try:
            return Checkpoint(folder=path, note=checkpoints.verified(path, signatures=signatures)), damaged
        except DamagedError as error:
            damaged[path] = str(error)
    return None, damaged


def pull(folder: Path, *, remote: Remote, signatures: Signatures, run: RunSpec, tell: Hear) -> None:
    """Bring the newest whole checkpoint of the run to this node, unless it is here.

    Args:
        folder: the local checkpoints; damaged ones that are newer are removed, and those without a signature.
        remote: the run's checkpoints in the bucket.
        signatures: checks both.
        run: says what happens when none is whole.
        tell: hears of damaged checkpoints, and of one that comes from the bucket.

    Raises:
        SpecError: none is whole, and the run does not allow a restart.
    """
    _remove_unsigned(folder, signatures=signatures, tell=tell)
    local, damaged = newest(folder, signatures=signatures)
    newer_than = local.step if local else -1
    pulled, damaged_there = remote.pull_newest(folder, newer_than=newer_than, signatures=signatures)
    step = int(pulled.name) if pulled else local.step if local else None
    places = {str(path): why for path, why in damaged.items()} | damaged_there
    _settle(places, step=step, where=f"{folder} and {remote.store.uri}", run=run, tell=tell)
    if pulled is not None:
        tell(Notice(message=f"Resuming from the bucket's checkpoint of step {step}."))
    # Else one of them would be the newest again, and stay when good ones are pruned.
    for path in damaged.keys() - {pulled}:
        shutil.rmtree(path)


def choose(folder: Path, *, run: RunSpec, data: Data, tell: Hear) -> Checkpoint | None:
    """Return the local checkpoint to resume from; None: start from step 0.

    Args:
        folder: the local checkpoints. Those that cannot be resumed from and are newer are removed.
        run: says what happens when none is whole, or when the data changed.
        data: what is trained on now.
        tell: hears of damaged checkpoints and of changed data.

    Raises:
        DatasetError: it was trained on other data, and the run does not allow a restart.
        SpecError: none is whole, and the run does not allow a restart.
    """
    found, damaged = newest(folder)
    places = {str(path): why for path, why in damaged.items()}
    _settle(places, step=found.step if found else None, where=str(folder), run=run, tell=tell)
    for path in damaged:
        shutil.rmtree(path)
    if found is None or found.note.data.same(data):
        return found
    changed = (
        f"The data changed under this run: the checkpoint of step {found.step} was trained on data with the digest "
        f"{found.note.data.digest}, and now the digest is {data.digest}. What differs: "
        f"{found.note.data.differences(data)}."
    )
    if run.data.on_change != "restart":
        raise DatasetError(
            f"{changed} Restore the data, or train on the new ones as another run: change the name of the job, or set "
            "run.data.onChange: restart."
        )
    tell(Notice(message=f"{changed} Training restarts from step 0 (run.data.onChange)."))
    for path in checkpoints.local(folder):
        shutil.rmtree(path)
    return None


def _remove_unsigned(folder: Path, *, signatures: Signatures, tell: Hear) -> None:
    """Name and remove local checkpoints without a signature.

    A node that was killed right after a save leaves one. So it is no damage: a run without another one starts again.
    """
    for path in checkpoints.local(folder):
        if signatures.find(path) is None:
            reason = "Either this node was killed right after it was saved, or something else wrote it."
            tell(Notice(message=f"The checkpoint {path} is not signed and was removed. {reason}"))
            shutil.rmtree(path)


def _settle(damaged: Mapping[str, str], *, step: int | None, where: str, run: RunSpec, tell: Hear) -> None:
    """Name damaged checkpoints and what is used instead; refuse to go on when there is nothing, by default.

    Raises:
        SpecError: there is no step to resume from, and the run does not allow a restart.
    """
    if damaged and step is None and run.checkpoint.on_damage != "restart":
        reasons = "; ".join(f"{place}: {why}" for place, why in damaged.items())
        raise SpecError(
            f"Every checkpoint of this run is damaged: {reasons}. Restore one of them. To train from step 0 instead, "
            f"remove the checkpoints in {where}, or set run.checkpoint.onDamage: restart, which makes it another run."
        )
    instead = "No other is whole, so training restarts from step 0 (run.checkpoint.onDamage)."
    if step is not None:
        instead = f"Training resumes from the checkpoint of step {step}."
    for place, why in damaged.items():
        tell(Notice(message=f"The checkpoint {place} is damaged: {why}. {instead}"))
