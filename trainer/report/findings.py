"""What the analysis of an evaluation found, as tables of the report."""

from collections.abc import Mapping, Sequence
from typing import Any

from trainer.report.content import Section

Facts = Mapping[str, Any]
"""`analysis` of evaluation.json; see `trainer.evaluation.analysis`."""


def sections(found: Facts, *, task: str) -> list[Section]:
    """Make the tables; none when there was no line to tell of."""
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
                (_limits(each), *_counts(each, "lines", "right"), *_shares(each, "acc", "norm_edit_dis"))
                for each in found.get("by_length", ())
            ],
            numbers=("characters", "lines", "right", "acc", "norm_edit_dis"),
        ),
        Section(
            title="Commonest confusions",
            note=_characters(characters) if characters else "",
            head=("labelled", "read", "times", "of", "first in"),
            rows=[
                (_shown(each["label"]), _shown(each["text"]), f"{each['count']:,}", _of(each), each["source"])
                for each in found.get("confusions", ())
            ],
            numbers=("times", "of"),
            verbatim=("labelled", "read", "first in"),
        ),
    ]


def _pages(found: Facts) -> list[Section]:
    head = ("lines", "found", "recall")

    def rows(classes: Sequence[Facts]) -> list[tuple[str, ...]]:
        return [(_limits(each), *_counts(each, "lines", "found"), *_shares(each, "recall")) for each in classes]

    return [
        Section(
            title="By height of the line",
            note="In pixels of the page as the network sees it. Where small lines are missed, let it see larger pages: "
            "raise limit_side_len of DetResizeForTest.",
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
    """Say how often the character is labelled; one that was added is not."""
    return f"{confusion['labelled']:,}" if confusion["label"] else ""


def _compared(how: Facts) -> str:
    if how.get("is_filter"):
        return "Digits and Latin letters are compared, without case, as the metric does; nothing else counts."
    return "Spaces are not compared, and not counted, as in the metric." if how.get("ignore_space") else ""


def _characters(count: Facts) -> str:
    share = (count["misread"] + count["missed"] + count["added"]) / max(count["labelled"], 1)
    return (
        f"Of {count['labelled']:,} characters {count['misread']:,} were misread and {count['missed']:,} missed; "
        f"{count['added']:,} were added: {share:.2%} wrong."
    )


def _limits(each: Facts) -> str:
    if each["to"] is None:
        return f"{each['from']} or more"
    return f"{each['from']}–{each['to']}" if each["to"] > each["from"] else f"{each['from']}"


def _counts(each: Facts, *names: str) -> tuple[str, ...]:
    return tuple(f"{each[name]:,}" for name in names)


def _shares(each: Facts, *names: str) -> tuple[str, ...]:
    return tuple(f"{each[name]:.4f}" for name in names)


def _shown(character: str) -> str:
    """Make a character visible: nothing, a space and what cannot be printed by their names."""
    if not character:
        return "nothing"
    if character == " ":
        return "space"
    return character if character.isprintable() else f"U+{ord(character):04X}"
