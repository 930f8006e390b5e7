"""The report as Markdown, for a merge request or a terminal."""

import re
from collections.abc import Iterable, Sequence
from typing import Final

from trainer.report.content import Report, Section, Shown
from trainer.report.pictures import LEGEND

_MEANING: Final = re.compile(r"[^\S ]|[\x00-\x1f!\"#$&*+<=>?@\[\\\]^`{|}~]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])")
"""What may mean something in Markdown; an underscore within a word does not."""


def render(report: Report) -> str:
    """Return the text."""
    split = plain(report.split)
    parts = [
        f"# {plain(report.name)}\n\nTask {report.task}, run `{report.run_id}`.",
        _table(["", f"{split} split", "eval split, best step"], [[plain(n), a, b] for n, a, b in report.metrics]),
        "## Training\n\n![Loss and evaluations over the steps](curve.svg)",
        "## Verification\n\n" + ("\n".join(f"- {plain(line)}" for line in report.verified) or "Not verified."),
        *(_section(section, level=2) for section in [*report.distillation, *report.analysis]),
        f"## Samples of the {split} split\n\n{_samples(report)}",
        "## Dataset\n\n" + _pairs(report.dataset),
        *(_section(section, level=3) for section in report.left_out),
        "## Run\n\n" + _pairs(report.facts),
    ]
    return "\n\n".join(parts) + "\n"


def plain(text: str) -> str:
    """Make any text stand for itself in Markdown: what could mean something is written as its code."""
    return _MEANING.sub(lambda found: f"&#{ord(found[0])};", text)


def _pairs(rows: Iterable[tuple[str, str]]) -> str:
    return _table(["", ""], [[plain(name), plain(value)] for name, value in rows])


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _section(section: Section, *, level: int) -> str:
    parts = [f"{'#' * level} {plain(section.title)}", plain(section.note)]
    rows = [[plain(value) for value in row] for row in section.rows]
    return "\n\n".join(part for part in [*parts, _table(section.head, rows)] if part)


def _samples(report: Report) -> str:
    if not report.worst:
        return "No predictions to show."
    show = _pages if report.task == "det" else _lines
    parts = []
    if report.task == "det":
        colours = "; ".join(f"{colour}: {words}" for colour, words in LEGEND.values())
        parts.append(f"Colours in the pictures: {colours}. Numbers are confidences.")
    parts.append("### The worst\n\n" + show(report.worst))
    if report.others:
        parts.append("### An even selection of the rest\n\n" + show(report.others))
    return "\n\n".join(parts)


def _pages(samples: Sequence[Shown]) -> str:
    return "\n\n".join(
        f"{plain(shown.words)} ({plain(shown.source)})\n\n![{plain(shown.words)}]({shown.picture})" for shown in samples
    )


def _lines(samples: Sequence[Shown]) -> str:
    return _table(["line", "label", "read", "confidence", ""], [_line(shown) for shown in samples])


def _line(shown: Shown) -> list[str]:
    label, text = ("".join(words for words, _ in pieces) for pieces in (shown.label, shown.text))
    picture = f"![]({shown.picture})"
    return [picture, plain(label), plain(text) or "nothing", f"{shown.score:.3f}", shown.words]
