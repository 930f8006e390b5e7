"""Where a model goes wrong, told from what it read (the rows of predictions.jsonl).

The metrics say how good a model is; this says what to do about it: which lengths and heights it fails at, which
characters it takes for which, and its worst samples. Counts add up to the metrics: what the metric does not compare,
such as spaces, is not compared here either.
"""

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
from rapidfuzz.distance import Levenshtein
from shapely.geometry import Polygon

from trainer.evaluation import matching

Row = Mapping[str, Any]
"""A line of predictions.jsonl."""

LENGTHS: Final = (0, 1, 6, 11, 16, 26)
"""Where the classes of text length begin, in characters; 0 is a label of which nothing is compared."""

HEIGHTS: Final = (0, 8, 12, 16, 24, 32, 48)
"""Where the classes of line height begin, in pixels of what the network sees."""

CONFUSIONS: Final = 20
WORST: Final = 20
"""How many are told; a person looks through twenty, not through hundreds."""


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """What counts as equal, as the configuration's `Metric` says. The defaults are PaddleOCR's."""

    ignore_space: bool = True
    """Spaces are not compared."""

    is_filter: bool = False
    """Only digits and Latin letters are compared, in lower case."""

    @classmethod
    def of(cls, metric: Mapping[str, Any] | None) -> "Comparison":
        """Take the settings out of a configuration's `Metric`, or out of evaluation.json's `compared`."""
        known = {name: bool(value) for name, value in (metric or {}).items() if name in ("ignore_space", "is_filter")}
        return cls(**known)

    def kept(self, text: str) -> list[int]:
        """Return the places of the characters that are compared."""
        return [place for place, character in enumerate(text) if self._compares(character)]

    def folded(self, text: str) -> str:
        """Return the part of a text that is compared."""
        left = "".join(character for character in text if self._compares(character))
        return left.lower() if self.is_filter else left

    def _compares(self, character: str) -> bool:
        if self.is_filter:
            return character.isascii() and character.isalnum()
        return not (self.ignore_space and character == " ")


def similarity(row: Row, comparison: Comparison) -> float:
    """Return 1 minus the share of characters that would have to be changed: 1 when a line is right."""
    label, text = (comparison.folded(row[key]) for key in ("label", "text"))
    return float(Levenshtein.normalized_similarity(label, text))


def badness(row: Row, comparison: Comparison) -> tuple[float, float]:
    """Return a sort key: the least like its label first; of equally wrong lines the most confident, of right the least.

    A model that is sure of what is wrong does more harm than one that hesitates.
    """
    alike = similarity(row, comparison)
    return alike, float(row["score"]) if alike == 1 else -float(row["score"])


def analyse(rows: Sequence[Row], config: Mapping[str, Any]) -> dict[str, Any]:
    """Return what evaluation.json has besides the metrics.

    Args:
        rows: what was read of a split.
        config: the PaddleOCR configuration; its `Metric` says what is compared.
    """
    if config["Architecture"]["model_type"] == "det":
        return analyse_pages(rows)
    return analyse_lines(rows, Comparison.of(config.get("Metric")))


def analyse_lines(rows: Sequence[Row], comparison: Comparison) -> dict[str, Any]:
    """Analyse the errors of a recogniser.

    Returns:
        `by_length` (classes with `from`, `to`, `lines`, `right`, `acc`, `norm_edit_dis`), `characters` (how many were
        labelled, misread, missed and added), `confusions` (`label` was read as `text`, "" standing for nothing;
        `count`, of how many `labelled`, the first `source`), `worst` lines, and what was `compared`.
    """
    lengths = _Classes(LENGTHS)
    labelled: Counter[str] = Counter()
    confused: Counter[tuple[str, str]] = Counter()
    first: dict[tuple[str, str], str] = {}
    for row in rows:
        label, text = (comparison.folded(row[key]) for key in ("label", "text"))
        lengths.add(len(label), similarity(row, comparison))
        labelled.update(label)
        for step in Levenshtein.editops(label, text):
            pair = (
                "" if step.tag == "insert" else label[step.src_pos],
                "" if step.tag == "delete" else text[step.dest_pos],
            )
            confused[pair] += 1
            first.setdefault(pair, str(row["source"]))
    # Of equally common ones in the characters' order, so that the same rows always give the same list.
    commonest = sorted(confused.items(), key=lambda item: (-item[1], item[0]))[:CONFUSIONS]
    worst = sorted(rows, key=lambda row: (*badness(row, comparison), row["image"]))[:WORST]
    return {
        "compared": asdict(comparison),
        "by_length": [
            {
                **limits,
                "lines": len(alike),
                "right": alike.count(1),
                "acc": alike.count(1) / len(alike),
                "norm_edit_dis": sum(alike) / len(alike),
            }
            for limits, alike in lengths
        ],
        "characters": {
            "labelled": labelled.total(),
            "misread": sum(count for (label, text), count in confused.items() if label and text),
            "missed": sum(count for (_, text), count in confused.items() if not text),
            "added": sum(count for (label, _), count in confused.items() if not label),
        },
        "confusions": [
            {"label": label, "text": text, "count": count, "labelled": labelled[label], "source": first[label, text]}
            for (label, text), count in commonest
        ],
        "worst": [
            {**{key: row[key] for key in ("image", "source", "label", "text", "score")}, "similarity": alike}
            for row in worst
            if (alike := similarity(row, comparison)) < 1
        ],
    }


def analyse_pages(rows: Sequence[Row]) -> dict[str, Any]:
    """Analyse the errors of a detector.

    Returns:
        `by_height` (of lines, in pixels of the page as the network sees it) and `by_length` (in characters), classes
        with `from`, `to`, `lines`, `found` and `recall`; how many `lines` there are, how many were `found` and
        `missed`, and how many boxes are `false`; the `worst` pages.
    """
    heights, lengths = _Classes(HEIGHTS), _Classes(LENGTHS)
    total: Counter[str] = Counter()
    pages = []
    for row in rows:
        match = matching.match(row)
        for place in [*match.pairs, *match.missed]:
            line, found = row["label"][place], float(place in match.pairs)
            heights.add(line_height(line["points"], row["scale"]), found)
            lengths.add(len(line["transcription"]), found)
        counts = {"found": len(match.pairs), "missed": len(match.missed), "false": len(match.false)}
        total.update(counts)
        pages.append({"image": row["image"], "source": row["source"], "hmean": match.hmean, **counts})
    worst = sorted(pages, key=lambda page: (page["hmean"], page["image"]))[:WORST]
    return {
        "by_height": heights.recalls(),
        "by_length": lengths.recalls(),
        "lines": total["found"] + total["missed"],
        **{name: total[name] for name in ("found", "missed", "false")},
        "worst": [page for page in worst if page["hmean"] < 1],
    }


def line_height(points: matching.Box, scale: Sequence[float]) -> float:
    """Return the height of a line: the shorter side of the smallest rectangle round it, however it is turned.

    Args:
        points: its outline in pixels of the page.
        scale: what the page's width and height are multiplied with before the network sees it.
    """
    outline = Polygon(np.asarray(points, float) * np.asarray(scale))
    corners = np.asarray(outline.oriented_envelope.exterior.coords)
    return float(np.hypot(*np.diff(corners[:3], axis=0).T).min())


def wrong_places(row: Row, comparison: Comparison) -> tuple[set[int], set[int]]:
    """Return the places of the label's characters that were not read, and of the text's that are not there."""
    label, text = (comparison.kept(row[key]) for key in ("label", "text"))
    steps = Levenshtein.editops(*(comparison.folded(row[key]) for key in ("label", "text")))
    return (
        {label[step.src_pos] for step in steps if step.tag != "insert"},
        {text[step.dest_pos] for step in steps if step.tag != "delete"},
    )


class _Classes:
    """Values in classes of a length or a height."""

    def __init__(self, begins: Sequence[int]) -> None:
        self._begins = begins
        self._values: list[list[float]] = [[] for _ in begins]

    def add(self, measure: float, value: float) -> None:
        """Put a value into the class of its measure."""
        self._values[bisect_right(self._begins, measure) - 1].append(value)

    def __iter__(self) -> Iterator[tuple[dict[str, int | None], list[float]]]:
        """Return the limits, both inside (`to` None: no end), and the values of each class that has any."""
        ends = [begin - 1 for begin in self._begins[1:]] + [None]
        for begin, end, values in zip(self._begins, ends, self._values, strict=True):
            if values:
                yield {"from": begin, "to": end}, values

    def recalls(self) -> list[dict[str, Any]]:
        """Take the values as found (1) or missed (0)."""
        return [
            {**limits, "lines": len(found), "found": int(sum(found)), "recall": sum(found) / len(found)}
            for limits, found in self
        ]
