"""The results of the analysis of an evaluation, as tables of the report."""

from collections.abc import Mapping, Sequence
from typing import Any

from trainer.report.content import Section

Facts = Mapping[str, Any]
"""`analysis` of evaluation.json; see `trainer.evaluation.analysis`."""


def sections(found: Facts, *, task: str) -> list[Section]:
    """Return the tables that have rows."""
    made = _pages(found) if task == "det" else _lines(found)
    return [section for section in made if section.rows]


def _lines(found: Facts) -> list[Section]:
    characters = found.get("characters", {})
    return [
        Section(
            title="By length of the text",
            note=_compared(found.get("compared", {})),
            head=("characters", "lines", "right", "acc", "norm_edit_dis"),
            rows=[
                (_limits(group), *_counts(group, "lines", "right"), *_shares(group, "acc", "norm_edit_dis"))
                for group in found.get("by_length", ())
            ],
            numbers=("characters", "lines", "right", "acc", "norm_edit_dis"),
        ),
        Section(
            title="Most common confusions",
            note=_characters(characters) if characters else "",
            head=("labelled", "read", "times", "of", "first in"),
            rows=[
                (_shown(pair["label"]), _shown(pair["text"]), f"{pair['count']:,}", _of(pair), pair["source"])
                for pair in found.get("confusions", ())
            ],
            numbers=("times", "of"),
            verbatim=("labelled", "read", "first in"),
        ),
    ]


def _pages(found: Facts) -> list[Section]:
    head = ("lines", "found", "recall")

    def rows(classes: Sequence[Facts]) -> list[tuple[str, ...]]:
        return [(_limits(group), *_counts(group, "lines", "found"), *_shares(group, "recall")) for group in classes]

    return [
        Section(
            title="By height of the line",
            note="In pixels of the page as the network sees it. If small lines are missed, raise limit_side_len of "
            "DetResizeForTest so that it sees larger pages.",
            head=("pixels", *head),
            rows=rows(found.get("by_height", ())),
            numbers=("pixels", *head),
        ),
        Section(
            title="By length of the text",
            head=("characters", *head),
            rows=rows(found.get("by_length", ())),
            numbers=("characters", *head),
        ),
    ]


def _of(confusion: Facts) -> str:
    """Return how often the character is labelled; nothing for an added character, which is not labelled."""
    return f"{confusion['labelled']:,}" if confusion["label"] else ""


def _compared(how: Facts) -> str:
    if how.get("is_filter"):
        return "Only digits and Latin letters are compared, ignoring case, as in the metric."
    return "Spaces are ignored, as in the metric." if how.get("ignore_space") else ""


def _characters(count: Facts) -> str:
    share = (count["misread"] + count["missed"] + count["added"]) / max(count["labelled"], 1)
    return (
        f"Of {count['labelled']:,} characters, {count['misread']:,} were misread and {count['missed']:,} missed, and "
        f"{count['added']:,} were added: {share:.2%} wrong."
    )


def _limits(group: Facts) -> str:
    if group["to"] is None:
        return f"{group['from']} or more"
    return f"{group['from']}–{group['to']}" if group["to"] > group["from"] else f"{group['from']}"


def _counts(group: Facts, *names: str) -> tuple[str, ...]:
    return tuple(f"{group[name]:,}" for name in names)


def _shares(group: Facts, *names: str) -> tuple[str, ...]:
    return tuple(f"{group[name]:.4f}" for name in names)


def _shown(character: str) -> str:
    """Make a character visible: nothing, a space and unprintable characters are shown by name."""
    if not character:
        return "nothing"
    if character == " ":
        return "space"
    return character if character.isprintable() else f"U+{ord(character):04X}"
