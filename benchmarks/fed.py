"""How busy a device is kept that takes so many samples a second: by a run's readers, and by PaddleOCR's.

The device is simulated: it takes a batch and waits as long as a real one of that speed would compute. Both sides make
the same samples of a PPOCRLabel export with the same configuration, in the same number of reader processes, and hand
them over as in training; at each speed one side runs after the other. The cores that each side needs for that speed
follow from the samples that it makes in a second of processor time.
"""

import argparse
import contextlib
import itertools
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from benchmarks import reader
from benchmarks.pairs import timed
from jobs.commands.options import positive
from trainer.errors import OcrfleetError
from trainer.system.cpu import cores

SPEEDS: Final[Mapping[str, tuple[int, ...]]] = {"rec": (1000, 2000, 4000, 8000, 12000), "det": (50, 100, 200, 350, 500)}
"""Samples a second that devices take: from a small one to a CRNN, and a DB detector, on a large one."""

BATCH: Final = {"rec": 128, "det": 8}

CASES: Final = ("rec-aug", "det-960")
"""Of `benchmarks.reader`."""

Indexes = npt.NDArray[np.int64]

Feed = Callable[[], Iterator[int]]
"""Makes batches without end; gives the samples in each."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """One case at one speed of the device."""

    case: str

    speed: int
    """Samples that the device takes in a second."""

    ocrfleet: float
    """The part of the time that the device was busy, 0 to 1."""

    peer: float
    """The same with PaddleOCR's reader."""

    ocrfleet_cores: float
    """Cores that can make `speed` samples a second."""

    peer_cores: float


def main() -> int:
    """Run the cases; return the exit code."""
    arguments = build_parser().parse_args()
    import cv2

    cv2.setNumThreads(1)
    rows = list[Row]()
    with tempfile.TemporaryDirectory(prefix="fed-") as scratch:
        for name in arguments.case or CASES:
            pipeline = reader.CASES[name]
            print(f"{name}: {pipeline.claim}", file=sys.stderr)
            # Enough for neither side to come to the end of an epoch while it is timed.
            count = int(max(SPEEDS[pipeline.task]) * arguments.seconds)
            try:
                ours, theirs = reader.sides(pipeline, arguments.export.absolute(), Path(scratch) / name, count=count)
            except OcrfleetError as error:
                print(f"error: {error}", file=sys.stderr)
                return int(error.exit_code)
            rows += compare(name, ours, theirs, readers=arguments.readers, seconds=arguments.seconds)
    if arguments.output == "json":
        print(json.dumps({"readers": arguments.readers, "rows": [asdict(row) for row in rows]}, indent=1))
    else:
        print(as_table(rows, readers=arguments.readers))
    return 0


def build_parser() -> argparse.ArgumentParser:
    """Make the parser of the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.fed", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("export", type=Path, help="the folder that PPOCRLabel exported")
    parser.add_argument("--case", action="append", choices=CASES, help="this one alone; may be repeated")
    parser.add_argument(
        "--readers", type=positive, default=cores(), metavar="N", help="reader processes of a side (default: the cores)"
    )
    parser.add_argument(
        "--seconds", type=positive, default=10, metavar="S", help="time of a side at each speed (default: 10)"
    )
    parser.add_argument("-o", "--output", choices=("table", "json"), default="table", help="(default: table)")
    return parser


def compare(name: str, ours: reader.Side, theirs: reader.Side, *, readers: int, seconds: float) -> list[Row]:
    """Run both sides in turn at each speed of the case's task."""
    task = reader.CASES[name].task
    mine, peers = per_core(ours, reader.SAMPLES[task]), per_core(theirs, reader.SAMPLES[task])
    feeds = (our_feed(ours, BATCH[task], readers), their_feed(theirs, BATCH[task], readers))
    rows = []
    for speed in SPEEDS[task]:
        print(f"  a device of {speed:,} samples/s", file=sys.stderr)
        busy, of_peer = (busy_part(feed, speed, seconds=seconds, ahead=4 * readers) for feed in feeds)
        rows.append(
            Row(
                case=name,
                speed=speed,
                ocrfleet=busy,
                peer=of_peer,
                ocrfleet_cores=speed / mine,
                peer_cores=speed / peers,
            )
        )
    return rows


def per_core(side: reader.Side, count: int) -> float:
    """Return the samples that a side makes in a second of processor time."""

    def make() -> None:
        for index in range(count):
            side.make(index)

    make()
    return count / timed(make).processor


def our_feed(side: reader.Side, batch: int, readers: int) -> Feed:
    """Return the batches of a run's training set."""
    from trainer.ppocr import data

    def feed() -> Iterator[int]:
        order = np.random.default_rng(0).permutation(len(side.dataset))
        batches = [[(1, int(i), 0) for i in part] for part in _whole(order, batch)]
        with contextlib.closing(data.BatchReader(side.dataset, batches, readers=readers)) as made:
            for _, arrays in made:
                yield arrays[0].shape[0]

    return feed


def their_feed(side: reader.Side, batch: int, readers: int) -> Feed:
    """Return the batches of the loader that PaddleOCR's `build_dataloader` makes."""
    import paddle

    def feed() -> Iterator[int]:
        wanted = True
        sampler = paddle.io.BatchSampler(side.dataset, batch_size=batch, shuffle=True, drop_last=True)
        to_come = itertools.takewhile(lambda _: wanted, sampler)
        made = iter(paddle.io.DataLoader(side.dataset, batch_sampler=to_come, num_workers=readers, return_list=True))
        try:
            for tensors in made:
                yield tensors[0].shape[0]
        finally:
            # A loader that is left half-way goes on reading beside the next one that is timed.
            wanted = False
            for _ in made:
                pass

    return feed


def busy_part(feed: Feed, speed: float, *, seconds: float, ahead: int) -> float:
    """Return the part of the time that a device is busy which takes `speed` samples a second.

    Args:
        feed: makes the batches.
        speed: of the device.
        seconds: for how long.
        ahead: batches that are taken before, as fast as they come: those that the readers had made in advance.
    """
    batches = feed()
    for _ in itertools.islice(batches, ahead):
        pass
    busy, began = 0.0, time.perf_counter()
    for samples in batches:
        time.sleep(samples / speed)
        busy += samples / speed
        if (passed := time.perf_counter() - began) > seconds:
            break
    batches.close()  # type: ignore[attr-defined]
    return min(1.0, busy / passed)


def as_table(rows: list[Row], *, readers: int) -> str:
    """Lay the figures out as a table in Markdown."""
    lines = [
        f"{readers} readers a side, {os.cpu_count()} cores",
        "",
        "| case | device, samples/s | busy with ocrfleet | with PaddleOCR | cores that ocrfleet needs | PaddleOCR |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for row in rows:
        lines.append(
            f"| {row.case} | {row.speed:,} | {row.ocrfleet:.0%} | {row.peer:.0%} "
            f"| {row.ocrfleet_cores:.1f} | {row.peer_cores:.1f} |"
        )
    return "\n".join(lines)


def _whole(order: Indexes, batch: int) -> list[Indexes]:
    whole = len(order) // batch
    return np.split(order[: whole * batch], whole)


if __name__ == "__main__":
    sys.exit(main())
