"""How results and talk are written: tables, YAML and JSON to stdout, sentences to stderr."""

import json
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final


def document(value: Any, output: str | None) -> None:
    """Print data as YAML, or as JSON when that is asked for."""
    from trainer.runspec import to_yaml

    print(json.dumps(value, indent=2, ensure_ascii=False) if output == "json" else to_yaml(value).rstrip())


def table(rows: Sequence[Mapping[str, Any]], columns: Mapping[str, str], *, cut: bool = False) -> None:
    """Print rows under their headings, as kubectl does.

    Args:
        rows: the data.
        columns: headings, and the key that stands under each.
        cut: make the last column fit a terminal; what goes elsewhere is whole.
    """
    cells = [list(columns), *([_cell(row[key]) for key in columns.values()] for row in rows)]
    widths = [max(len(line[place]) for line in cells) for place in range(len(columns))]
    if cut and sys.stdout.isatty():
        left = max(shutil.get_terminal_size().columns - sum(width + 3 for width in widths[:-1]), _LEAST)
        cells = [[*line, last if len(last) <= left else f"{last[: left - 1]}…"] for *line, last in cells]
    for line in cells:
        print("   ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


_LEAST: Final = 12
"""Characters of a last column that are shown, however narrow the terminal is."""


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4f}"
    return ", ".join(map(str, value)) if isinstance(value, (list, tuple)) else "" if value is None else str(value)


def say(sentence: str) -> None:
    """Tell the user something that is not the result."""
    print(sentence, file=sys.stderr, flush=True)


def transfer(what: str) -> Callable[[int, int], None] | None:
    """Give a function that shows bytes that come or go; None without the trainer's packages."""
    try:
        from trainer.progress import Progress
    except ModuleNotFoundError:
        return None
    shown = Progress(sys.stderr)
    return lambda done, total: shown.transfer(what, done, total)


def count(what: str, unit: str) -> Callable[[int, int], None] | None:
    """Give a function that shows how many of something are done; None without the trainer's packages."""
    try:
        from trainer.progress import Progress
    except ModuleNotFoundError:
        return None
    shown = Progress(sys.stderr)

    def move(done: int, total: int) -> None:
        shown.show({"event": "progress", "rank": 0, "what": what, "done": done, "total": total, "unit": unit})

    return move
