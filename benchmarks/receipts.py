"""What two processes on a CPU learn from 120 real receipts: a detector and a recogniser, each in a run of its own.

The receipts are a PPOCRLabel export (ICDAR 2019 SROIE). Each run is what a user would start, `ocrfleet run` on the job
file beside this program, from a folder to a model that is published into another. Printed are the metrics of the test
split, which is neither trained on nor used to choose the model, and the minutes from start to end. The training curves
are left as SVG.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from jobs.jobfile import model as jobfile
from trainer.report.curve import curve
from trainer.run.workdir import LocalRunDir

JOBS = Path(__file__).parent / "jobs"


@dataclass(frozen=True, kw_only=True)
class Result:
    """One task's run."""

    task: str
    """`det` or `rec`."""

    samples: dict[str, int]
    """Pages or lines of each split."""

    metrics: dict[str, float]
    """Of the test split, read with the best model of the evaluations."""

    best: dict[str, Any]
    """The evaluation that chose it."""

    steps: int
    """Optimizer steps."""

    training_minutes: float
    """Spent in steps, without evaluation and saving."""

    minutes: float
    """From the command to the published model."""

    curve: Path
    """The picture of loss and evaluations."""

    report: Path
    """The report to open in a browser."""


def main() -> int:
    """Read the command line, run, print; give the exit code."""
    arguments = _arguments()
    tasks = ("det", "rec") if arguments.task == "both" else (arguments.task,)
    results = []
    for task in tasks:
        result = _run(task, arguments.export.absolute(), arguments.out.absolute())
        if result is None:
            return 1
        results.append(result)
        if arguments.output == "text":
            _print(result)
    if arguments.output == "json":
        print(json.dumps([asdict(result) for result in results], indent=1, default=str))
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.receipts", description="Train on exported receipts and say how well they are read."
    )
    parser.add_argument("export", type=Path, help="the folder that PPOCRLabel exported")
    parser.add_argument("--task", choices=("det", "rec", "both"), default="both", help="(default: both, det first)")
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("build/benchmarks/receipts"),
        help="work folders and curves (default: %(default)s)",
    )
    parser.add_argument("-o", "--output", choices=("text", "json"), default="text", help="(default: text)")
    arguments = parser.parse_args()
    if not (arguments.export / "Label.txt").is_file():
        parser.error(f"{arguments.export} has no Label.txt, so it is not what PPOCRLabel exports")
    return arguments


def _run(task: str, export: Path, out: Path) -> Result | None:
    """Run one job file from an empty folder; None when it failed, which it has said itself."""
    folder = out / task
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    job = JOBS / f"receipts-{task}.yaml"
    places = [f"run.data.train={export.as_uri()}/", f"run.output={(folder / 'models').as_uri()}/"]
    words = ["run", str(job), "--workdir", str(folder / "runs"), *(w for place in places for w in ("--set", place))]
    began = time.monotonic()
    ended = subprocess.run([sys.executable, "-m", "jobs.cli", *words], stdout=subprocess.PIPE, text=True, check=False)
    if ended.returncode:
        print(f"The {task} run ended with {ended.returncode}.", file=sys.stderr)
        return None
    minutes = (time.monotonic() - began) / 60
    work = LocalRunDir(folder / "runs" / ended.stdout.strip()).node(0)
    training, evaluation = (
        json.loads(path.read_text("utf-8")) for path in (work.training_facts, work.evaluation_facts)
    )
    picture = out / f"receipts-{task}.svg"
    main_metric = jobfile.load(job).run.main_metric
    picture.write_text(curve(training["history"], main_metric=main_metric), "utf-8")
    prepared = json.loads((work.prepared / "dataset.json").read_text("utf-8"))
    return Result(
        task=task,
        samples=prepared["counts"],
        metrics=evaluation["metrics"],
        best=training["best"],
        steps=training["steps"],
        training_minutes=training["seconds"] / 60,
        minutes=minutes,
        curve=picture,
        report=work.report_page,
    )


def _print(result: Result) -> None:
    splits = ", ".join(f"{count} {name}" for name, count in result.samples.items())
    metrics = ", ".join(f"{name} {value:.3f}" for name, value in result.metrics.items())
    print(f"{result.task}: {metrics} on the test split ({splits})")
    print(
        f"  {result.minutes:.1f} min in all, {result.training_minutes:.1f} in {result.steps} steps, on "
        f"{len(os.sched_getaffinity(0))} cores; best evaluation after epoch {result.best['epoch']}"
    )
    print(f"  curve: {result.curve}")
    print(f"  report: {result.report}")


if __name__ == "__main__":
    sys.exit(main())
