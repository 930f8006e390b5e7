"""Lines of a node's log, in both formats: how they are written, and how a command reads them again.

Text begins with a mark, which says what a program needs: `[train 19%] step 18/96, …`. JSON has the same in keys. Which
of the two a line is shows at its first character; what is neither is a line of somebody else.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Literal

import msgspec

from trainer import contract
from trainer.formats.printable import in_json
from trainer.telemetry.events import encode

Format = Literal["text", "json"]

Turn = Literal["begun", "done", "skipped"]
"""How a stage turns."""


@dataclass(frozen=True, kw_only=True)
class Line:
    """What a line of a log says."""

    message: str = ""
    """A sentence for people, in one line."""

    stage: str = ""
    """The stage under way; empty before the first."""

    percent: int | None = None
    """How far a part of the stage is, where that is all that the line says: the next such line replaces it."""

    turn: Turn | None = None
    """Whether the stage begins or ends with this line."""

    def __str__(self) -> str:
        """Return it as text."""
        if not self.stage:
            return self.message
        mark = f" {self.percent}%" if self.percent is not None else f" {self.turn}" if self.turn else ""
        return f"[{self.stage}{mark}] {self.message}".rstrip()


def to_json(line: Line, event: Mapping[str, Any], *, now: datetime | None = None) -> str:
    """Return a line as JSON.

    Args:
        line: what it says.
        event: the keys of what happened, and of where.
        now: the moment.
    """
    stamp = (now or datetime.now(UTC)).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    found: dict[str, Any] = {"time": stamp, **event, "message": line.message}
    if line.stage:
        found["stage"] = line.stage
    if line.percent is not None:
        found["percent"] = line.percent
    return in_json(encode(found).decode())


def read(written: str) -> Line:
    """Read a line of a node's log; a line that is not the node's own is all message."""
    if written.startswith('{"time":'):
        try:
            return _READER.decode(written).line()
        except msgspec.MsgspecError:
            return Line(message=written)
    found = _MARKED.fullmatch(written)
    if not found:
        return Line(message=written)
    percent, turn = found["percent"], found["turn"]
    return Line(
        stage=found["stage"],
        percent=min(int(percent), 100) if percent else None,
        turn=turn,  # type: ignore[arg-type]  # the pattern has nothing else
        message=found["message"] or "",
    )


class _Written(msgspec.Struct):
    """The keys of a JSON line that a command reads."""

    event: str = ""
    message: str = ""
    stage: str = ""
    percent: int | None = None

    def line(self) -> Line:
        turn = _TURNS.get(self.event)
        return Line(message=self.message, stage=self.stage, percent=self.percent, turn=turn)


_TURNS: Final[Mapping[str, Turn]] = {"stage_begun": "begun", "stage_done": "done", "stage_skipped": "skipped"}
_READER: Final = msgspec.json.Decoder(_Written)
_MARKED: Final = re.compile(
    rf"\[(?P<stage>{'|'.join(contract.STAGES)})(?: (?P<percent>\d{{1,3}})%| (?P<turn>begun|done|skipped))?\]"
    r"(?: (?P<message>.*))?"
)
