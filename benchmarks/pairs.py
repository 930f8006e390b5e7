"""Two sides timed in turn: what each took, and their ratio."""

import resource
import statistics
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

DEADLINE: Final = 60.0
"""Seconds that one process gets."""

MEASURES: Final = ("seconds", "processor")


@dataclass(frozen=True, kw_only=True)
class Time:
    """What one deed took."""

    seconds: float
    """By the clock on the wall."""

    processor: float
    """Seconds of processors, in all threads and in the processes that it started."""


Pair = tuple[Time, Time]
"""Times of `ocrfleet` and of its peer."""


@dataclass(frozen=True)
class Case:
    """All pairs of one comparison."""

    name: str
    peer: str
    pairs: Sequence[Pair]


def in_turn(ours: Callable[[], object], theirs: Callable[[], object], *, pairs: int) -> list[Pair]:
    """Time both sides; who goes first changes from pair to pair. First each does it once, which reads the disk."""
    sides = (ours, theirs)
    for side in sides:
        side()
    found = []
    for number in range(pairs):
        times = {index: timed(sides[index]) for index in ((0, 1) if number % 2 == 0 else (1, 0))}
        found.append((times[0], times[1]))
    return found


def timed(deed: Callable[[], object]) -> Time:
    """Time what one call takes."""
    busy, start = _processor(), time.perf_counter()
    deed()
    seconds = time.perf_counter() - start
    return Time(seconds=seconds, processor=_processor() - busy)


def ran(*command: str | Path) -> bytes:
    """Run a process to its end, and give what it wrote to stdout."""
    return subprocess.run(command, stdout=subprocess.PIPE, timeout=DEADLINE, check=True).stdout


def as_facts(case: Case) -> dict[str, Any]:
    """Give the figures of a case: the median of each side, and the ratios' median, least and greatest."""
    found: dict[str, Any] = {"peer": case.peer, "pairs": len(case.pairs)}
    for what in MEASURES:
        ours, theirs = ([getattr(side, what) for side in sides] for sides in zip(*case.pairs, strict=True))
        ratios = [mine / other if other else float("inf") for mine, other in zip(ours, theirs, strict=True)]
        found[what] = {
            "ocrfleet": statistics.median(ours),
            "peer": statistics.median(theirs),
            "ratio": {"median": statistics.median(ratios), "least": min(ratios), "greatest": max(ratios)},
        }
    return found


def as_table(cases: Sequence[Case]) -> str:
    """Lay the medians out as a table in Markdown."""
    rows = [
        "| case | peer | of | ocrfleet | peer | ratio (least–greatest) |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for case in cases:
        facts: Mapping[str, Any] = as_facts(case)
        for what in MEASURES:
            found, ratio = facts[what], facts[what]["ratio"]
            times = " | ".join(f"{found[side] * 1e3:.1f} ms" for side in ("ocrfleet", "peer"))
            spread = f"{ratio['median']:.2f} ({ratio['least']:.2f}–{ratio['greatest']:.2f})"
            rows.append(f"| {case.name} | {case.peer} | {what} | {times} | {spread} |")
    return "\n".join(rows)


def _processor() -> float:
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime
