"""How fast samples are read and augmented on one core: PaddleOCR's SimpleDataSet against the training set of a run.

Both sides make the same samples of a PPOCRLabel export with the same configuration, in turn, in one process and one
thread; who goes first changes from pair to pair. The ratio is of processor time, since the clock also measures what
else the machine does. `--profile` prints where the time goes, operator by operator, of processor time too.
"""

import argparse
import copy
import json
import logging
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from benchmarks.contest import Setting, for_paddleocr, prepare_run
from benchmarks.pairs import Case, as_facts, in_turn, timed
from jobs.commands.options import positive
from trainer.datasets.prepared import Prepared
from trainer.errors import OcrfleetError
from trainer.run.workdir import WorkDir

SAMPLES: Final = {"rec": 800, "det": 24}
"""Samples that a side makes in a pair: a second or two of PaddleOCR's."""


@dataclass(frozen=True, kw_only=True)
class Pipeline:
    """What both sides read."""

    claim: str
    """What is compared."""

    recipe: str
    """A built-in recipe."""

    task: str
    """`det` or `rec`."""

    without: frozenset[str] = frozenset()
    """Operators of the recipe that are left out."""

    least: float | None = None
    """The median ratio of speeds must not be below this; None: no bound."""


CASES: Final[Mapping[str, Pipeline]] = {
    "rec-aug": Pipeline(
        claim="lines of PP-OCRv3's recogniser, 48x320, with RecAug; none is joined to another",
        recipe="rec-pp-ocrv3",
        task="rec",
        without=frozenset({"RecConAug"}),
        least=5.0,
    ),
    "rec-pp-ocrv5": Pipeline(
        claim="lines of PP-OCRv5's mobile recogniser, 48x320, with RecConAug and RecAug",
        recipe="rec-pp-ocrv5-mobile",
        task="rec",
    ),
    "det-960": Pipeline(
        claim="pages of PP-OCRv3's student detector, 960x960", recipe="det-pp-ocrv3-student", task="det", least=2.5
    ),
    "det-pp-ocrv5": Pipeline(
        claim="pages of PP-OCRv5's mobile detector, 640x640, with CopyPaste", recipe="det-pp-ocrv5-mobile", task="det"
    ),
    "rec-resize": Pipeline(
        claim="lines that are decoded and resized, and no more",
        recipe="rec-pp-ocrv3",
        task="rec",
        without=frozenset({"RecConAug", "RecAug"}),
    ),
    "det-decode": Pipeline(
        claim="pages that are decoded, with their labels, and no more",
        recipe="det-pp-ocrv3-student",
        task="det",
        without=frozenset(
            {
                "IaaAugment",
                "EastRandomCropData",
                "MakeBorderMap",
                "MakeShrinkMap",
                "NormalizeImage",
                "ToCHWImage",
                "KeepKeys",
            }
        ),
    ),
}


def main() -> int:
    """Run the cases; give the exit code."""
    arguments = build_parser().parse_args()
    import cv2

    cv2.setNumThreads(1)
    cases, counts = list[Case](), list[int]()
    with tempfile.TemporaryDirectory(prefix="reader-") as scratch:
        for name in arguments.case or CASES:
            print(f"{name}: {CASES[name].claim}", file=sys.stderr)
            count = arguments.samples or SAMPLES[CASES[name].task]
            try:
                ours, theirs = sides(CASES[name], arguments.export.absolute(), Path(scratch) / name, count=count)
            except OcrfleetError as error:
                print(f"error: {error}", file=sys.stderr)
                return int(error.exit_code)
            if arguments.profile:
                print(profile(name, ours, theirs))
            elif arguments.start:
                print(start(name, Path(scratch) / name / "run"))
            elif arguments.readers:
                print(scaling(name, ours, arguments.readers))
            else:
                cases.append(Case(name, "PaddleOCR", in_turn(ours.read, theirs.read, pairs=arguments.pairs)))
                counts.append(len(ours.dataset))
    if arguments.output == "json":
        print(
            json.dumps({"load": os.getloadavg()[0], "cases": {case.name: as_facts(case) for case in cases}}, indent=1)
        )
    elif cases:
        print(as_table(cases, counts))
    for sentence in (missed := misses(cases)):
        print(f"error: {sentence}", file=sys.stderr)
    return 1 if missed else 0


def build_parser() -> argparse.ArgumentParser:
    """Make the parser of the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.reader",
        description=__doc__,
        epilog="cases:\n" + "\n".join(f"  {name:14} {case.claim}" for name, case in CASES.items()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("export", type=Path, help="the folder that PPOCRLabel exported")
    parser.add_argument("--case", action="append", choices=CASES, help="this one alone; may be repeated")
    parser.add_argument("--pairs", type=positive, default=5, metavar="N", help="times a side (default: 5)")
    parser.add_argument(
        "--samples", type=positive, metavar="N", help="samples a side and pair (default: 800 lines or 24 pages)"
    )
    parser.add_argument("--profile", action="store_true", help="print the time of each operator instead")
    parser.add_argument("--start", action="store_true", help="print the time to the first sample instead")
    parser.add_argument(
        "--readers",
        type=positive,
        action="append",
        metavar="N",
        help="print the samples a second, by the clock, of N reader processes instead; may be repeated",
    )
    parser.add_argument("-o", "--output", choices=("table", "json"), default="table", help="(default: table)")
    return parser


@dataclass
class Side:
    """One dataset and how to make its samples."""

    dataset: Any

    operators: list[Callable[[Any], Any]]
    """The dataset's own list: what is put into it is called."""

    make: Callable[[int], Any]
    """Make one sample by its index."""

    def read(self) -> None:
        """Make every sample once."""
        random.seed(0)
        for index in range(len(self.dataset)):
            self.make(index)


def sides(pipeline: Pipeline, export: Path, folder: Path, *, count: int) -> tuple[Side, Side]:
    """Prepare an export, and return our training set and PaddleOCR's of its training split.

    Raises:
        OcrfleetError: it is not a dataset for the recipe's task.
    """
    setting = Setting(task=pipeline.task, recipe=pipeline.recipe, batch=1, warm_up=0, steps=count)
    dataset = export
    if pipeline.task == "rec":
        # PPOCRLabel's own crops, as PaddleOCR's users read them. Those that `prepare` cuts are PNGs, slower to decode.
        dataset = folder / "crops"
        shutil.copytree(export / "crop_img", dataset / "crop_img")
        shutil.copy(export / "rec_gt.txt", dataset)
    work = prepare_run(folder / "run", dataset, setting)
    config = yaml.safe_load(work.configuration.read_text("utf-8"))
    dataset = config["Train"]["dataset"]
    dataset["transforms"] = [given for given in dataset["transforms"] if not pipeline.without & set(given)]
    work.configuration.write_text(yaml.safe_dump(config, sort_keys=False, allow_unicode=True), "utf-8")
    return ours(work, config), paddleocrs(work, setting, folder)


def ours(work: WorkDir, config: dict[str, Any]) -> Side:
    """Return the training set of a run."""
    from trainer.ppocr.data import TrainingSet

    samples = Prepared.load(work.prepared).samples("train")
    dataset = TrainingSet(samples, copy.deepcopy(config), seed=1)

    def make(index: int) -> None:
        refused, made = dataset[(1, index, 0)]
        assert made is not None, refused

    return Side(dataset, dataset.operators, make)


def paddleocrs(work: WorkDir, setting: Setting, folder: Path) -> Side:
    """Return PaddleOCR's SimpleDataSet of the same samples."""
    from trainer.ppocr import tree

    tree.on_path()
    from ppocr.data.simple_dataset import SimpleDataSet

    own = folder / "paddleocr"
    own.mkdir()
    config = for_paddleocr(work, setting, own)
    config["Train"]["loader"]["shuffle"] = False
    dataset = SimpleDataSet(config, "Train", logging.getLogger("paddleocr"), seed=1)
    return Side(dataset, dataset.ops, dataset.__getitem__)


def profile(name: str, ours: Side, theirs: Side) -> str:
    """Return a table in Markdown of the milliseconds of a sample that each operator of both sides takes."""
    columns = [_milliseconds(side) for side in (ours, theirs)]
    rows = [f"| {name}: ms a sample | ocrfleet | PaddleOCR |", "| --- | --- | --- |"]
    for operator in dict.fromkeys([*columns[1], *columns[0]]):
        values = (f"{column[operator]:.3f}" if operator in column else "" for column in columns)
        rows.append(f"| {operator} | {' | '.join(values)} |")
    return "\n".join(rows)


def start(name: str, run: Path) -> str:
    """Return a table in Markdown of what a fresh process does until its first sample: medians of five processes."""
    found = []
    for _ in range(5):
        command = [sys.executable, "-m", "benchmarks.first_sample", str(run), str(time.time())]
        done = subprocess.run(command, stdout=subprocess.PIPE, check=True)
        found.append(json.loads(done.stdout.splitlines()[-1]))
    rows = [f"| {name}: to the first sample | seconds | of the processor |", "| --- | --- | --- |"]
    for steps in zip(*found, strict=True):
        medians = (statistics.median(step[what] for step in steps) for what in ("seconds", "processor"))
        rows.append(f"| {steps[0]['step']} | {' | '.join(f'{median:.4f}' for median in medians)} |")
    return "\n".join(rows)


def scaling(name: str, ours: Side, counts: Sequence[int]) -> str:
    """Return a table in Markdown of what reader processes make, in batches of 16 lines or 4 pages, with their start."""
    from trainer.ppocr.data import read_batches

    size = 16 if len(ours.dataset) >= 400 else 4
    items = [(1, index, 0) for index in range(len(ours.dataset) // size * size)]
    batches = [items[at : at + size] for at in range(0, len(items), size)]
    rows = [f"| {name}: reader processes | samples/s | ms of processors a sample, in all |", "| --- | --- | --- |"]
    for readers in counts:
        took = timed(lambda readers=readers: deque(read_batches(ours.dataset, batches, readers=readers), maxlen=0))
        rate, processor = len(items) / took.seconds, took.processor / len(items) * 1e3
        rows.append(f"| {readers} | {rate:,.1f} | {processor:.3f} |")
    return "\n".join(rows)


class _Timed:
    """An operator that adds what it takes to a table."""

    def __init__(self, operator: Callable[[Any], Any], spent: Counter[str]) -> None:
        self._operator = operator
        self._spent = spent

    def __call__(self, data: Any) -> Any:
        start = time.process_time()
        data = self._operator(data)
        self._spent[type(self._operator).__name__.lstrip("_")] += time.process_time() - start
        return data

    def __getattr__(self, name: str) -> Any:
        return getattr(self._operator, name)


def _milliseconds(side: Side) -> dict[str, float]:
    count, spent = len(side.dataset), Counter[str]()

    side.read()
    plain = side.operators[:]
    side.operators[:] = [_Timed(operator, spent) for operator in plain]
    start = time.process_time()
    side.read()
    whole = time.process_time() - start
    side.operators[:] = plain
    found = {operator: seconds / count * 1e3 for operator, seconds in spent.items()}
    rest = whole / count * 1e3 - sum(found.values())
    return {**found, "the rest: file, seeds, decoding of ours": rest, "in all": whole / count * 1e3}


def speeds(case: Case) -> list[float]:
    """Return by how much ocrfleet was faster in each pair, by processor time."""
    return [peer.processor / mine.processor for mine, peer in case.pairs]


def misses(cases: Sequence[Case]) -> list[str]:
    """Return a sentence for each case whose median ratio is below its bound."""
    found = []
    for case in cases:
        median, least = statistics.median(speeds(case)), CASES[case.name].least
        if least is not None and median < least:
            found.append(f"{case.name} has a median ratio of {median:.2f}, below its bound of {least}.")
    return found


def as_table(cases: Sequence[Case], counts: Sequence[int]) -> str:
    """Lay the medians out as a table in Markdown."""
    rows = [
        "| case | ocrfleet, samples/s | PaddleOCR, samples/s | ratio, median (least–greatest) | bound |",
        "| --- | --- | --- | --- | --- |",
    ]
    for case, count in zip(cases, counts, strict=True):
        sides = [statistics.median(pair[side].processor for pair in case.pairs) for side in (0, 1)]
        ratios, least = speeds(case), CASES[case.name].least
        spread = f"{statistics.median(ratios):.2f} ({min(ratios):.2f}–{max(ratios):.2f})"
        rates = " | ".join(f"{count / seconds:,.1f}" for seconds in sides)
        rows.append(f"| {case.name} | {rates} | {spread} | {'' if least is None else least} |")
    return "\n".join(rows)


if __name__ == "__main__":
    sys.exit(main())
