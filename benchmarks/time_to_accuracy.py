"""How long two trainings take until they read equally well: the workers of a run, and PaddleOCR's `tools/train.py`.

Both train the same network on the same samples with the same number of samples a step, on the same cores; all else is
each side's default: a run has a process for each core and batches by width, PaddleOCR one process, one width for all
lines, and reader processes. Each saves its weights after each epoch. The clock of a side begins with its start and
stands still while nothing of it runs: the weights are read afterwards, all of them with the same reader, on the test
split, which neither side has seen.

The goal is what both sides have reached: a part of the best metric of the worse one. What is printed is the time to
that goal, the ratio, and the best metric of each side, for each seed.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from benchmarks.contest import Setting, for_paddleocr, make_run, supervisor_of
from jobs.commands.options import positive
from trainer import recipes
from trainer.datasets.prepared import Prepared
from trainer.errors import OcrfleetError, SpecError, TransientError
from trainer.ppocr import tree
from trainer.run.spec import RunSpec
from trainer.run.workdir import WorkDir
from trainer.system.cpu import cores
from trainer.telemetry.events import Checkpointed, Event, Events

SIDES: Final = ("ocrfleet", "PaddleOCR")

REACHED: Final = 0.95
"""The part of the worse side's best metric that is the goal."""

STALL: Final = 3600.0
"""Seconds without a sign of life after which a side is given up."""


@dataclass(frozen=True, kw_only=True)
class Point:
    """The weights of a side after an epoch."""

    seconds: float
    """Since the side's start."""

    metric: float
    """Of the test split."""


@dataclass(frozen=True, kw_only=True)
class Race:
    """Both sides with one seed."""

    seed: int
    sides: Mapping[str, Sequence[Point]]

    @property
    def goal(self) -> float:
        """The metric that both have reached."""
        return REACHED * min(self.best(side) for side in SIDES)

    def best(self, side: str) -> float:
        """Return a side's best metric."""
        return max(point.metric for point in self.sides[side])

    def seconds(self, side: str) -> float:
        """Return when a side first reached the goal."""
        return next(point.seconds for point in self.sides[side] if point.metric >= self.goal)


def main() -> int:
    """Run both sides with each seed; return the exit code."""
    arguments = build_parser().parse_args()
    races = list[Race]()
    for seed in range(1, arguments.seeds + 1):
        folder = arguments.out / f"seed-{seed}"
        shutil.rmtree(folder, ignore_errors=True)
        try:
            races.append(race(folder, arguments, seed=seed))
        except OcrfleetError as error:
            print(f"error: {error}", file=sys.stderr)
            return int(error.exit_code)
    if arguments.output == "json":
        print(json.dumps([as_facts(each) for each in races], indent=1))
    else:
        print(as_table(races, metric=_main_metric(arguments.recipe)))
    return 0


def build_parser() -> argparse.ArgumentParser:
    """Make the parser of the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.time_to_accuracy",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("dataset", type=Path, help="a labelled dataset, such as the folder that PPOCRLabel exported")
    parser.add_argument("--recipe", default="rec-crnn-mobile", help="a built-in recipe (default: %(default)s)")
    parser.add_argument("--epochs", type=positive, default=10, metavar="N", help="of each side (default: 10)")
    parser.add_argument("--batch", type=positive, default=16, metavar="N", help="samples a step in all (default: 16)")
    parser.add_argument("--seeds", type=positive, default=3, metavar="N", help="repetitions (default: 3)")
    parser.add_argument(
        "--devices", type=positive, default=cores(), metavar="N", help="processes of a run (default: the cores)"
    )
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("build/benchmarks/time-to-accuracy"),
        help="folder for work files (default: %(default)s)",
    )
    parser.add_argument("-o", "--output", choices=("table", "json"), default="table", help="(default: table)")
    return parser


def race(folder: Path, arguments: argparse.Namespace, *, seed: int) -> Race:
    """Train with both sides, one after the other, then read the test split with the weights of each epoch.

    Raises:
        OcrfleetError: a side failed, or has learned nothing.
    """
    batch, rest = divmod(arguments.batch, arguments.devices)
    if rest:
        raise SpecError(f"--batch {arguments.batch} cannot be divided by --devices {arguments.devices}.")
    work, run = make_run(
        folder / "run",
        arguments.dataset,
        task=arguments.recipe[:3],
        recipe=arguments.recipe,
        train={
            "epochs": arguments.epochs,
            "batchSizePerDevice": batch,
            "seed": seed,
            "evaluateEvery": f"{arguments.epochs}ep",
        },
        checkpoint={"every": "1ep", "keep": arguments.epochs + 1},
    )
    recipe = recipes.resolve(run, Prepared.load(work.prepared), world_size=arguments.devices)
    work.configuration.write_text(yaml.safe_dump(recipe.config, sort_keys=False, allow_unicode=True), "utf-8")
    print(f"seed {seed}: ocrfleet trains", file=sys.stderr)
    ours = train_ours(work, devices=arguments.devices)
    print(f"seed {seed}: PaddleOCR trains", file=sys.stderr)
    theirs = train_paddleocr(work, run, batch=arguments.batch)
    sides = {}
    for name, saved in zip(SIDES, (ours, theirs), strict=True):
        sides[name] = [
            Point(seconds=seconds, metric=metric(work, path, recipe.config["Metric"]["main_indicator"]))
            for seconds, path in saved
        ]
        print(f"seed {seed}: {name} {[(round(p.seconds), round(p.metric, 3)) for p in sides[name]]}", file=sys.stderr)
    found = Race(seed=seed, sides=sides)
    if not found.goal:
        raise SpecError("A side reads nothing right, so there is nothing to compare: train for more --epochs.")
    return found


def train_ours(work: WorkDir, *, devices: int) -> list[tuple[float, Path]]:
    """Train with a run's workers; return when the weights of each epoch were saved, and where."""
    saved = list[tuple[float, Path]]()

    def hear(event: Event) -> None:
        if isinstance(event, Checkpointed) and event.step:
            saved.append((time.monotonic() - began, work.checkpoint(event.step) / "model.safetensors"))

    work.trained.mkdir()
    began = time.monotonic()
    supervisor_of(devices, hear=hear, stall=STALL).run(
        "train", workdir=work.root, log=lambda rank: work.worker_log(attempt=1, stage="train", rank=rank)
    )
    # The last epoch is saved once more, at the end of training.
    return list({path: (seconds, path) for seconds, path in reversed(saved)}.values())[::-1]


def train_paddleocr(work: WorkDir, run: RunSpec, *, batch: int) -> list[tuple[float, Path]]:
    """Train with `tools/train.py`; return when the weights of each epoch were saved, and where.

    Raises:
        TransientError: it failed.
    """
    own = work.root / "paddleocr"
    own.mkdir()
    config = for_paddleocr(work, Setting(task=run.task, recipe="", batch=batch, warm_up=10, steps=0), own)
    config["Train"].pop("sampler", None)
    config["Train"]["loader"]["batch_size_per_card"] = batch
    config["Global"] |= {"save_epoch_step": 1, "seed": run.train.seed}
    (own / "configuration.yml").write_text(yaml.safe_dump(config), "utf-8")
    began = time.time()
    with (own / "output.log").open("w", encoding="utf-8") as log:
        ended = subprocess.run(
            [sys.executable, str(tree.root() / "tools" / "train.py"), "-c", str(own / "configuration.yml")],
            cwd=own,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            check=False,
        )
    if ended.returncode:
        raise TransientError(f"PaddleOCR's training ended with {ended.returncode}. See {own / 'output.log'}.")
    paths = sorted((own / "output").glob("iter_epoch_*.pdparams"), key=lambda path: path.stat().st_mtime)
    return [(path.stat().st_mtime - began, path) for path in paths]


def metric(work: WorkDir, weights: Path, name: str) -> float:
    """Read the test split with the weights of either side, and return the main metric."""
    import paddle

    from trainer.ppocr import build, evaluate, start
    from trainer.ppocr.job import Job

    tree.on_path()
    job = Job.read(work.root, device="cpu", rank=0, world=1, events=Events(0, None))
    model = build.build_model(job.config)
    if weights.suffix == ".pdparams":
        model.set_state_dict(paddle.load(str(weights)))
    else:
        start.load_weights(model, weights)
    return evaluate.evaluate(job, model, split="test")[""].metrics[name]


def as_facts(found: Race) -> dict[str, Any]:
    """Return a race as JSON takes it."""
    return {
        "seed": found.seed,
        "goal": found.goal,
        "sides": {
            side: {
                "seconds": found.seconds(side),
                "best": found.best(side),
                "points": [[point.seconds, point.metric] for point in found.sides[side]],
            }
            for side in SIDES
        },
    }


def as_table(races: Sequence[Race], *, metric: str) -> str:
    """Lay the races out as a table in Markdown."""
    lines = [
        f"{os.cpu_count()} cores; {metric} of the test split",
        "",
        "| seed | goal | ocrfleet, seconds | PaddleOCR, seconds | ratio | best of ocrfleet | of PaddleOCR |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for each in races:
        mine, peers = (each.seconds(side) for side in SIDES)
        lines.append(
            f"| {each.seed} | {each.goal:.3f} | {mine:.0f} | {peers:.0f} | {peers / mine:.2f} "
            f"| {each.best(SIDES[0]):.3f} | {each.best(SIDES[1]):.3f} |"
        )
    ratios = [each.seconds(SIDES[1]) / each.seconds(SIDES[0]) for each in races]
    return "\n".join([*lines, "", f"median ratio {statistics.median(ratios):.2f}"])


def _main_metric(recipe: str) -> str:
    return str(recipes.load(recipe).config["Metric"]["main_indicator"])


if __name__ == "__main__":
    sys.exit(main())
