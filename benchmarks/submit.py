"""How fast the submitter is: a cold `ocrfleet render` against `helm template`, and job files by the thousand.

Both make the same objects of the same job file. The cold start is timed in pairs, a process each; who goes first
changes from pair to pair, and the median ratio is printed with the least and the greatest. Of the thousand, each is
read, rendered and parsed in this process, by `helm-python-sdk`; its peer is the same `helm template`. Run it on a
machine that does nothing else; on a busy one the seconds of its processors say more than those of the clock.
"""

import argparse
import json
import os
import re
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from jobs import helm, jobfile
from jobs.commands.options import positive
from jobs.render import render
from tests.chart.helm import program

JOB: Final = helm.CHART / "ci" / "job-values.yaml"
"""The job file with the most objects."""

DEADLINE: Final = 60.0
"""Seconds that one process gets."""


@dataclass(frozen=True, kw_only=True)
class Time:
    """What one render took."""

    seconds: float
    """By the clock on the wall."""

    processor: float
    """Seconds of processors, in all threads."""


def main() -> int:
    """Run both cases; give the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.submit", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "job", nargs="?", type=Path, default=JOB, help="a job file (default: the chart's largest example)"
    )
    parser.add_argument("--pairs", type=positive, default=15, metavar="N", help="cold starts a side (default: 15)")
    parser.add_argument(
        "--files", type=positive, default=1000, metavar="N", help="job files in one process (default: 1000)"
    )
    parser.add_argument("-o", "--output", choices=("table", "json"), default="table", help="(default: table)")
    arguments = parser.parse_args()
    cold = run_pairs(arguments.job, pairs=arguments.pairs)
    many = run_many(arguments.job, files=arguments.files)
    # One `helm template` stands against each file.
    peers = [(ours, cold[number % len(cold)][1]) for number, ours in enumerate(many)]
    results = {"cold": cold, f"{len(many)} files": peers}
    if arguments.output == "json":
        print(json.dumps({"load": os.getloadavg()[0], "cases": {k: as_facts(v) for k, v in results.items()}}, indent=1))
    else:
        print(as_table(results))
    return 0


Pair = tuple[Time, Time]
"""Times of `ocrfleet` and of its peer."""

MEASURES: Final = ("seconds", "processor")


def as_facts(pairs: Sequence[Pair]) -> dict[str, Any]:
    """Give the figures of a case: the median of each side, and the ratios' median, least and greatest."""
    found = {}
    for what in MEASURES:
        ours, theirs = ([getattr(side, what) for side in sides] for sides in zip(*pairs, strict=True))
        ratios = [mine / other for mine, other in zip(ours, theirs, strict=True)]
        found[what] = {
            "ocrfleet": statistics.median(ours),
            "helm template": statistics.median(theirs),
            "ratio": {"median": statistics.median(ratios), "least": min(ratios), "greatest": max(ratios)},
        }
    return found


def as_table(results: Mapping[str, Sequence[Pair]]) -> str:
    """Lay the medians out as a table in Markdown."""
    rows = ["| case | of | ocrfleet | helm template | ratio (least–greatest) |", "| --- | --- | --- | --- | --- |"]
    for name, pairs in results.items():
        for what, found in as_facts(pairs).items():
            ratio = found["ratio"]
            times = " | ".join(f"{found[side] * 1e3:.1f} ms" for side in ("ocrfleet", "helm template"))
            spread = f"{ratio['median']:.3f} ({ratio['least']:.3f}–{ratio['greatest']:.3f})"
            rows.append(f"| {name} | {what} | {times} | {spread} |")
    return "\n".join(rows)


def run_pairs(job: Path, *, pairs: int) -> "list[Pair]":
    """Time cold starts of ours and of Helm's newest program, in turn."""
    sides: tuple[Callable[[], Time], ...] = (
        lambda: time_process([Path(sys.executable).with_name("ocrfleet"), "render", job]),
        lambda: time_process([program("helm4"), "template", "any", helm.CHART.resolve(), "--values", job]),
    )
    for side in sides:
        side()  # the first reads the disk
    found = []
    for number in range(pairs):
        order = (0, 1) if number % 2 == 0 else (1, 0)
        times = {index: sides[index]() for index in order}
        found.append((times[0], times[1]))
    return found


def time_process(command: Sequence[str | Path]) -> Time:
    """Time a process to its end."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(command, stdout=subprocess.DEVNULL, timeout=DEADLINE, check=True)
    seconds, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    return Time(seconds=seconds, processor=after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)


def run_many(job: Path, *, files: int) -> list[Time]:
    """Time each of many job files that differ in their names."""
    text = job.read_text("utf-8")
    with tempfile.TemporaryDirectory(prefix="submit-") as scratch:
        paths = [Path(scratch) / f"{number}.yaml" for number in range(files)]
        for number, path in enumerate(paths):
            path.write_text(re.sub(r"(?m)^name: .*$", f"name: job-{number}", text), "utf-8")
        render(jobfile.load(job))  # the first loads the chart
        found = []
        for path in paths:
            start, busy = time.perf_counter(), time.process_time()
            render(jobfile.load(path))
            found.append(Time(seconds=time.perf_counter() - start, processor=time.process_time() - busy))
    return found


if __name__ == "__main__":
    sys.exit(main())
