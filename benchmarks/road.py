"""One `ocrfleet run`, as a user starts it, and what it left behind."""

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from trainer.contract import STAGES
from trainer.run.workdir import LocalRunDir

JOBS: Final = Path(__file__).parent / "jobs"


class RunError(Exception):
    """A run failed, or did not end in its time."""


@dataclass(frozen=True, kw_only=True)
class Ended:
    """What came of a run."""

    run: str
    """Its id."""

    metrics: dict[str, float]
    """Of the evaluation after training."""

    samples: dict[str, int]
    """Of each split."""

    steps: int
    """Optimizer steps."""

    seconds: float
    """Spent in them."""

    seen: int
    """Samples that went through them."""

    stages: tuple[str, ...]
    """Those that are done."""

    def facts(self) -> dict[str, Any]:
        """Give all of it, with the speed."""
        return {**vars(self), "samples_per_second": self.seen / self.seconds}


def run_job(job: Path, folder: Path, *, sets: Sequence[str], deadline: float) -> Ended:
    """Run a job file to its end.

    Args:
        job: the file.
        folder: gets the work folders.
        sets: what to set in it.
        deadline: seconds that the run may take.

    Raises:
        RunError: it failed, which it has said itself on stderr.
    """
    words = ["run", str(job), "--workdir", str(folder / "runs"), *(word for each in sets for word in ("--set", each))]
    try:
        done = subprocess.run(
            [sys.executable, "-m", "jobs.cli", *words],
            stdout=subprocess.PIPE,
            text=True,
            timeout=deadline,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise RunError(f"The run of {job.name} has not ended in {deadline:.0f} s.") from error
    if done.returncode:
        raise RunError(f"The run of {job.name} ended with {done.returncode}: what it says stands above.")
    run = done.stdout.strip()
    work = LocalRunDir(folder / "runs" / run).node(0)
    training, evaluation, dataset = (
        json.loads(path.read_text("utf-8"))
        for path in (work.training_facts, work.evaluation_facts, work.prepared / "dataset.json")
    )
    return Ended(
        run=run,
        metrics=evaluation["metrics"],
        samples=dataset["counts"],
        steps=training["steps"],
        seconds=training["seconds"],
        seen=training["samples"],
        stages=tuple(stage for stage in STAGES if work.receipt(stage).is_file()),
    )
