"""Text of commands: tables to stdout, sentences to stderr, each as wide as its terminal."""

import os
import re
import sys
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any, Final, TextIO


def table(
    rows: Sequence[Mapping[str, Any]], columns: Mapping[str, str], *, cut: bool = False, spare: Sequence[str] = ()
) -> None:
    """Print rows under their headings, as kubectl does.

    Args:
        rows: the data.
        columns: headings, and the key that stands under each.
        cut: make the last column fit a terminal; what goes elsewhere is whole.
        spare: headings that go where a terminal is too narrow for all, the first one first.
    """
    cells = [list(columns), *([_cell(row[key]) for key in columns.values()] for row in rows)]
    widths = [max(len(line[place]) for line in cells) for place in range(len(columns))]
    room = width_of(sys.stdout)
    for heading in spare:
        last = min(widths[-1], _READABLE) if cut else widths[-1]
        if room is not None and sum(width + 3 for width in widths[:-1]) + last > room:
            place = cells[0].index(heading)
            del widths[place]
            for line in cells:
                del line[place]
    if cut and room is not None:
        left = max(room - sum(width + 3 for width in widths[:-1]), _LEAST)
        cells = [[*line, last if len(last) <= left else f"{last[: left - 1]}…"] for *line, last in cells]
    for line in cells:
        print("   ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


_LEAST: Final = 12
"""Characters of a last column that are shown, however narrow the terminal is."""

_READABLE: Final = 30
"""Characters of a last column for which others make room."""


def width_of(stream: TextIO) -> int | None:
    """Return the columns of a terminal; None of anything else."""
    # One that does not know its width says 0.
    return (os.get_terminal_size(stream.fileno()).columns or 80) if stream.isatty() else None


def wrapped(text: str, stream: TextIO) -> str:
    """Return text as a stream takes it: on a terminal words stay whole, and so do commands, which are to be copied."""
    width = width_of(stream)
    if width is None:
        return text
    whole = re.sub("`[^`]*`", lambda command: command[0].replace(" ", _GLUE), text)
    lines = (
        textwrap.fill(line, width, break_long_words=False, break_on_hyphens=False) if len(line) > width else line
        for line in whole.split("\n")
    )
    return "\n".join(lines).replace(_GLUE, " ")


_GLUE: Final = "\0"
"""Stands for a space that no line may end at."""


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4f}"
    return ", ".join(map(str, value)) if isinstance(value, (list, tuple)) else "" if value is None else str(value)


def say(sentence: str) -> None:
    """Print a sentence to standard error."""
    print(sentence, file=sys.stderr, flush=True)
