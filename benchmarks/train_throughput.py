"""How fast training is: against PaddleOCR's own loop, and with two processes against one.

Each case has two sides that train the same network on the same samples, in turn; who goes first changes from pair to
pair. A side's time is that of its steps after a warm-up, without start-up, evaluation and saving. Of a case the median
ratio over the pairs is printed, with the least and the greatest. Run it on a machine that does nothing else.
"""

import argparse
import importlib.metadata
import json
import os
import statistics
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

from benchmarks.contest import Setting, Timing, prepare_run, time_ours, time_paddleocr
from examples.demo import pages
from trainer import contract
from trainer.errors import OcrfleetError
from trainer.ppocr import tree
from trainer.run.workdir import WorkDir
from trainer.system.cpu import mathematics

WARM_UP: Final = 5
"""Steps before the clock starts: the first are slower, since memory is asked for."""

MKL_VARIABLE: Final = "MKL_DEBUG_CPU_TYPE"

_CORES: Final = len(os.sched_getaffinity(0))


@dataclass(frozen=True, kw_only=True)
class Case:
    """One claim and the two sides that show it."""

    claim: str
    """What is compared."""

    setting: Setting
    """What both train."""

    side: str
    """Who is measured: the ratio's numerator."""

    peer: str
    """Against whom."""

    threads: int | None = None
    """OpenMP threads of each process, and then MKL's code is the same too; None leaves each side its default."""

    devices: int = 1
    """Worker processes of `side`; the peer has one, with as many threads as all of these."""

    least: float
    """The median ratio must not be below this; else the benchmark fails."""

    mkl_alone: bool = False
    """Both sides are PaddleOCR's loop, and they differ only in the variable that a worker gives MKL."""


_WIDTH = {f"{part}.dataset.transforms.RecResizeImg.image_shape": [3, 32, 320] for part in ("Train", "Eval")}
_REC: Final = Setting(
    task="rec", recipe="rec-crnn-mobile", batch=16, readers=0, overrides=_WIDTH, warm_up=WARM_UP, steps=15
)
_DET: Final = Setting(
    task="det",
    recipe="det-db-mobile",
    batch=4,
    readers=0,
    overrides={"Train.dataset.transforms.EastRandomCropData.size": [320, 320]},
    warm_up=WARM_UP,
    steps=10,
)
_DENSE: Final = Setting(
    task="det",
    recipe="det-db-res18",
    batch=2,
    readers=0,
    overrides={"Train.dataset.transforms.EastRandomCropData.size": [192, 192]},
    warm_up=WARM_UP,
    steps=10,
)

CASES: Final[Mapping[str, Case]] = {
    "rec-same-threads": Case(
        claim="recogniser (MobileNetV3, 32x320, batch 16), one process, one thread, no reader processes",
        setting=_REC,
        side="ocrfleet",
        peer="PaddleOCR",
        threads=1,
        least=0.95,
    ),
    "det-same-threads": Case(
        claim="detector (MobileNetV3, 320x320, batch 4), one process, one thread, no reader processes",
        setting=_DET,
        side="ocrfleet",
        peer="PaddleOCR",
        threads=1,
        least=0.95,
    ),
    "dense-own-defaults": Case(
        claim="dense detector (ResNet18, 192x192, batch 2), no reader processes; threads and MKL's code as each side "
        "takes them",
        setting=_DENSE,
        side="ocrfleet",
        peer="PaddleOCR",
        least=0.95,
    ),
    "dense-mkl-variable": Case(
        claim="dense detector, PaddleOCR's loop on both sides, one thread, no reader processes; with and without "
        "MKL_DEBUG_CPU_TYPE as a worker sets it",
        setting=_DENSE,
        side="with",
        peer="without",
        threads=1,
        least=1.5,
        mkl_alone=True,
    ),
    "two-processes": Case(
        claim="recogniser, two processes of one thread against one process of two; same batch a process, no readers",
        setting=_REC,
        side="2 processes",
        peer="1 process",
        threads=1,
        devices=2,
        least=1.0,
    ),
}

Pair = tuple[Timing, Timing]
"""Times of a case's side and of its peer."""


def main() -> int:
    """Run the cases; give the exit code."""
    arguments = build_parser().parse_args()
    machine = describe_machine()
    say(", ".join(f"{name} {value}" for name, value in machine.items()))
    results: dict[str, list[Pair]] = {}
    with tempfile.TemporaryDirectory(prefix="throughput-") as scratch:
        folder = Path(scratch)
        dataset = arguments.dataset or draw_dataset(folder / "pages")
        for name in arguments.case or CASES:
            case = CASES[name]
            if case.mkl_alone and MKL_VARIABLE not in mathematics():
                say(f"\n{name} is left out: on this processor a worker does not set {MKL_VARIABLE}.")
                continue
            if arguments.steps:
                case = replace(case, setting=replace(case.setting, steps=arguments.steps))
            say(f"\n{name}: {case.claim}; {case.setting.steps} steps after {case.setting.warm_up}")
            try:
                results[name] = run_case(case, dataset, folder / name, pairs=arguments.pairs)
            except OcrfleetError as error:
                say(f"error: {error}")
                return int(error.exit_code)
    if arguments.output == "json":
        found = {"machine": machine, "cases": {name: as_facts(CASES[name], pairs) for name, pairs in results.items()}}
        print(json.dumps(found, indent=1))
    else:
        print(as_table(results))
    for sentence in (failed := misses(results)):
        say(f"error: {sentence}")
    return 1 if failed else 0


def build_parser() -> argparse.ArgumentParser:
    """Make the parser of the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.train_throughput",
        description=__doc__,
        epilog="cases:\n" + "\n".join(f"  {name:20} {case.claim}" for name, case in CASES.items()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "dataset",
        nargs="?",
        type=a_folder,
        help="a folder of labelled pages, such as PPOCRLabel exports (default: pages drawn for this)",
    )
    parser.add_argument(
        "--case", action="append", choices=CASES, metavar="NAME", help="this case alone; may be repeated"
    )
    parser.add_argument(
        "--pairs", type=at_least_one, default=5, metavar="N", help="how often each side runs (default: 5)"
    )
    parser.add_argument(
        "--steps",
        type=whole_warm_ups,
        metavar="N",
        help=f"timed steps, a multiple of {WARM_UP} (default: the case's own, 10 or 15)",
    )
    parser.add_argument(
        "--quick",
        dest="steps",
        action="store_const",
        const=WARM_UP,
        help=f"time {WARM_UP} steps: to see that the cases run, not how fast; use it with --pairs 1",
    )
    parser.add_argument("-o", "--output", choices=["table", "json"], default="table", help="default: table")
    return parser


def a_folder(text: str) -> Path:
    """Read the place of a dataset."""
    if not Path(text).is_dir():
        raise argparse.ArgumentTypeError(f"{text!r} is not a folder")
    return Path(text)


def at_least_one(text: str) -> int:
    """Read a count."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of at least 1")
    return int(text)


def whole_warm_ups(text: str) -> int:
    """Read a number of steps: PaddleOCR's loop speaks every `WARM_UP` steps, and only then is there a time."""
    if at_least_one(text) % WARM_UP:
        raise argparse.ArgumentTypeError(f"{text} is not a multiple of {WARM_UP}")
    return int(text)


def draw_dataset(folder: Path) -> Path:
    """Draw pages to train on."""
    pages.write_export(folder, pages=40, seed=1)
    return folder


def run_case(case: Case, dataset: Path, folder: Path, *, pairs: int) -> list[Pair]:
    """Run both sides of a case in turn.

    Raises:
        OcrfleetError: one of them failed.
    """
    work = prepare_run(folder / "side", dataset, case.setting, devices=case.devices)
    other = work if case.devices == 1 else prepare_run(folder / "peer", dataset, case.setting)
    sides: list[Callable[[], Timing]] = [
        lambda: time_side(case, work),
        lambda: time_peer(case, other),
    ]
    found: list[Pair] = []
    for number in range(pairs):
        order = (0, 1) if number % 2 == 0 else (1, 0)
        times = {index: sides[index]() for index in order}
        found.append((times[0], times[1]))
        first, second = (f"{times[i].samples_per_second:.2f} samples/s" for i in (0, 1))
        say(f"  pair {number + 1}/{pairs}: {case.side} {first}, {case.peer} {second}, ratio {ratio(found[-1]):.3f}")
    return found


def time_side(case: Case, work: WorkDir) -> Timing:
    """Time the side that a case is about."""
    if case.mkl_alone:
        return time_paddleocr(work, case.setting, threads=case.threads)
    return time_ours(work, case.setting, threads=case.threads, devices=case.devices)


def time_peer(case: Case, work: WorkDir) -> Timing:
    """Time the side that a case's ratio is taken against."""
    if case.devices > 1:
        return time_ours(work, case.setting, threads=(case.threads or 1) * case.devices)
    return time_paddleocr(work, case.setting, threads=case.threads, mkl=not case.mkl_alone)


def misses(results: Mapping[str, list[Pair]]) -> list[str]:
    """Return a sentence for each case whose median ratio is below its bound."""
    medians = {name: statistics.median(map(ratio, pairs)) for name, pairs in results.items()}
    return [
        f"{name} has a median ratio of {median:.3f}, below its bound of {CASES[name].least}."
        for name, median in medians.items()
        if median < CASES[name].least
    ]


def ratio(pair: Pair) -> float:
    """Give the speed of a case's side in units of its peer's."""
    return pair[0].samples_per_second / pair[1].samples_per_second


def as_facts(case: Case, pairs: list[Pair]) -> dict[str, Any]:
    """Give all of a case's figures."""
    ratios = [ratio(pair) for pair in pairs]
    return {
        "claim": case.claim,
        "side": case.side,
        "peer": case.peer,
        "least": case.least,
        "ratio": {"median": statistics.median(ratios), "least": min(ratios), "greatest": max(ratios)},
        "pairs": [{"side": asdict(side), "peer": asdict(peer)} for side, peer in pairs],
    }


def as_table(results: Mapping[str, list[Pair]]) -> str:
    """Lay the medians out as a table in Markdown."""
    rows = ["| case | who | seconds | samples/s | ratio (least–greatest) |", "| --- | --- | --- | --- | --- |"]
    for name, pairs in results.items():
        ratios = [ratio(pair) for pair in pairs]
        spread = f"{statistics.median(ratios):.3f} ({min(ratios):.3f}–{max(ratios):.3f})"
        for who, times, said in zip(
            (CASES[name].side, CASES[name].peer), zip(*pairs, strict=True), (spread, "1"), strict=True
        ):
            seconds = statistics.median(timing.seconds for timing in times)
            speed = statistics.median(timing.samples_per_second for timing in times)
            rows.append(f"| {name} | {who} | {seconds:.2f} | {speed:.2f} | {said} |")
    return "\n".join(rows)


def describe_machine() -> dict[str, str | int | float]:
    """Give what the figures depend on."""
    return {
        "cores": _CORES,
        "load": round(os.getloadavg()[0], 2),
        "python": ".".join(map(str, sys.version_info[:3])),
        "paddle": importlib.metadata.version("paddlepaddle"),
        "PaddleOCR": str(tree.root()) if contract.ENV_PADDLEOCR_HOME in os.environ else "2.10 (packaged)",
    }


def say(text: str) -> None:
    """Talk on stderr; stdout has the result."""
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
