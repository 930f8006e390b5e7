"""What a run's leader writes of its stages, read again: which lines only say how far it is. Pure.

`trainer/telemetry/progress.py` writes them, and a test holds this to what it writes.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

_STEP: Final = re.compile(r"(?P<stage>\w+): (?P<epoch>epoch \d+/\d+), step (?P<done>\d+)/(?P<total>\d+), (?P<rest>.+)")
_COUNT: Final = re.compile(r"(?:\w+: )?\w+ (?P<done>\d+)/(?P<total>\d+)(?: \w+)?")
_TRANSFER: Final = re.compile(r"(?:\w+: )?\w+ (?P<done>[\d.]+ [kMGT]?B) of (?P<total>[\d.]+ [kMGT]?B)")
_TURN: Final = re.compile(r"\w+ (\.\.\.|done in .*|skipped: .*)")
_UNITS: Final = {"B": 1.0, "kB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12}


@dataclass(frozen=True, kw_only=True)
class Progress:
    """How far a stage is: the next such line stands for this one."""

    text: str
    """As it was written."""

    share: float
    """Of the whole, from 0 to 1."""

    parts: tuple[str, ...] = ()
    """Of a step: stage, epoch, step, loss, the metric when there is one, samples/s, time left."""

    def fitted(self, width: int) -> str:
        """Return it with its percentage for a terminal: what matters least goes first where there is no room."""
        before = f"{int(self.share * 100):3d}% "
        parts = list(self.parts)
        while parts and len(before) + len(_joined(parts)) > width:
            least = min(parts, key=_weight)
            if _weight(least) == _STAYS:
                break
            parts.remove(least)
        shown = before + (_joined(parts) or self.text)
        return shown if len(shown) <= width else f"{shown[: width - 1]}…"


def progress(line: str) -> Progress | None:
    """Read a line that says how far a stage is; None if it says anything else."""
    if step := _STEP.fullmatch(line):
        parts = (step["stage"], step["epoch"], f"step {step['done']}/{step['total']}", *step["rest"].split(", "))
        return Progress(text=line, share=_share(float(step["done"]), float(step["total"])), parts=parts)
    if count := _COUNT.fullmatch(line):
        return Progress(text=line, share=_share(float(count["done"]), float(count["total"])))
    if moved := _TRANSFER.fullmatch(line):
        return Progress(text=line, share=_share(_size(moved["done"]), _size(moved["total"])))
    return None


def turns(line: str) -> bool:
    """Check whether a stage begins or ends with a line: no progress of before says anything any more."""
    return _TURN.fullmatch(line) is not None


def past(lines: Sequence[str]) -> Iterator[str]:
    """Return what is worth reading of lines from before: how far it was then is not, but for the last."""
    for number, line in enumerate(lines, start=1):
        if number == len(lines) or progress(line) is None:
            yield line


def _share(done: float, total: float) -> float:
    return min(done / total, 1.0) if total else 1.0


def _size(words: str) -> float:
    number, unit = words.split(" ")
    return float(number) * _UNITS[unit]


def _joined(parts: Sequence[str]) -> str:
    return f"{parts[0]}: {', '.join(parts[1:])}" if parts else ""


_LEAST_FIRST: Final = ("samples/s", "epoch ", "loss ", "left")
"""The order in which parts of a step go."""
_STAYS: Final = len(_LEAST_FIRST)


def _weight(part: str) -> int:
    return next((place for place, word in enumerate(_LEAST_FIRST) if word in part), _STAYS)
