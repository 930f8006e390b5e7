"""Pictures of what a model read: which samples to show, and the pages with their boxes.

Pillow and its bundled font only: the report is made where nothing else can be taken for granted.
"""

import difflib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from shapely import STRtree
from shapely.geometry import Polygon

from trainer import images

Row = Mapping[str, Any]
Box = Sequence[Sequence[float]]
Corners = list[tuple[float, float]]
"""A box in the pixels of a picture."""

SHOWN: Final = 12
"""Samples in a report: a page of them is looked at, a hundred are not."""

PAGE_SIDE: Final = 1200
"""Longest side of a pictured page, in pixels: small print of a receipt stays readable."""

ENLARGED: Final = 2.5
"""How much a small page is enlarged at most, so that the confidences do not cover the print."""

LINE_SIZE: Final = (900, 64)
"""Largest width and height of a pictured line."""

DONT_CARE: Final = ("*", "###")
OVERLAP: Final = 0.5
"""Share of common area (intersection over union) above which a box has found a line, as in the metric."""

COLOURS: Final = {
    "labelled": (37, 99, 235),
    "found": (5, 150, 105),
    "missed": (220, 38, 38),
    "false": (217, 119, 6),
    "ignored": (120, 120, 130),
}
"""Of boxes in pages; the page's legend uses the same."""


@dataclass(frozen=True)
class Page:
    """A page with what a detector found in it."""

    row: Row
    """A line of predictions.jsonl."""

    labelled: list[Box] = field(default_factory=list)
    """Labelled lines that were found."""

    missed: list[Box] = field(default_factory=list)
    """Labelled lines that were not found."""

    ignored: list[Box] = field(default_factory=list)
    """Labelled regions that do not count."""

    found: list[tuple[Box, float]] = field(default_factory=list)
    """Boxes that found a line, with scores."""

    false: list[tuple[Box, float]] = field(default_factory=list)
    """Boxes where no line is labelled, with scores."""

    @property
    def rank(self) -> tuple[float, float]:
        """Sort key: the worst page first."""
        wrong = len(self.missed) + len(self.false)
        return len(self.found) / max(len(self.found) + wrong, 1) if wrong or self.found else 1.0, -wrong


@dataclass(frozen=True)
class Line:
    """A line with what a recogniser read in it."""

    row: Row
    """A line of predictions.jsonl."""

    @property
    def right(self) -> bool:
        """Whether the text is the label."""
        return bool(self.row["text"] == self.row["label"])

    @cached_property
    def pieces(self) -> list[tuple[str, bool]]:
        """The text in pieces, each with whether it agrees with the label."""
        matcher = difflib.SequenceMatcher(None, self.row["label"], self.row["text"], autojunk=False)
        return [(self.row["text"][b0:b1], tag == "equal") for tag, _, _, b0, b1 in matcher.get_opcodes() if b1 > b0]

    @property
    def rank(self) -> tuple[float, float]:
        """Sort key: the worst line first; among the right ones, that of least confidence."""
        # A score above that of any wrong line, without the work of comparing: most lines of a good model are right.
        alike = 2.0 if self.right else difflib.SequenceMatcher(None, self.row["label"], self.row["text"]).ratio()
        return alike, float(self.row["score"])


def match(row: Row) -> Page:
    """Pair the boxes of a page with its labelled lines, as the metric does."""
    counted = [line["points"] for line in row["label"] if not _ignored(line)]
    ignored = [line["points"] for line in row["label"] if _ignored(line)]
    boxes = [(box, float(score)) for box, score in zip(row["boxes"], row["scores"], strict=True)]
    masked = {box for _, box, common, _, area in _touching(ignored, row["boxes"]) if common > OVERLAP * area}
    pairs: dict[int, int] = {}
    for line, box, common, one, other in _touching(counted, row["boxes"]):
        taken = line in pairs or box in pairs.values() or box in masked
        if not taken and common > OVERLAP * (one + other - common):
            pairs[line] = box
    return Page(
        row,
        labelled=[line for number, line in enumerate(counted) if number in pairs],
        missed=[line for number, line in enumerate(counted) if number not in pairs],
        ignored=ignored,
        found=[boxes[box] for box in pairs.values()],
        false=[box for number, box in enumerate(boxes) if number not in masked and number not in pairs.values()],
    )


def _touching(some: Sequence[Box], others: Sequence[Box]) -> list[tuple[int, int, float, float, float]]:
    """Give the pairs that touch: two places, their common area and the area of each."""
    if not some or not others:
        return []
    one, other = (np.array([Polygon(box).buffer(0) for box in group], dtype=object) for group in (some, others))
    pairs = sorted(zip(*STRtree(other).query(one, predicate="intersects").tolist(), strict=True))
    return [(i, j, one[i].intersection(other[j]).area, one[i].area, other[j].area) for i, j in pairs]


def choose(samples: Sequence[Page] | Sequence[Line], most: int = SHOWN) -> list[Any]:
    """Choose samples to show, the worst first: half of them the worst, half evenly from the rest."""
    ordered = sorted(samples, key=lambda sample: (sample.rank, sample.row["image"]))
    if len(ordered) <= most:
        return ordered
    worst, rest, wanted = ordered[: most // 2], ordered[most // 2 :], most - most // 2
    return worst + [rest[(2 * place + 1) * len(rest) // (2 * wanted)] for place in range(wanted)]


def draw_page(page: Page, *, root: Path, to: Path) -> None:
    """Draw the written part of a page: the labelled lines, and all boxes that were found with their scores.

    Args:
        page: what to draw.
        root: the prepared folder, to which the row's `image` is relative.
        to: the JPEG to write.
    """
    picture = _opened(root / page.row["image"])
    view = _View.of(page, picture.size)
    picture = picture.crop(view.area).resize(view.size)
    draw = ImageDraw.Draw(picture, "RGBA")
    for kind, boxes in (("ignored", page.ignored), ("missed", page.missed)):
        for box in boxes:
            _outline(draw, view.place(box), colour=COLOURS[kind], filled=True)
    for box in page.labelled:
        _outline(draw, view.place(box), colour=COLOURS["labelled"], filled=False, width=1)
    for kind, scored in (("found", page.found), ("false", page.false)):
        for box, score in scored:
            _outline(draw, view.place(box), colour=COLOURS[kind], filled=kind == "false")
            _label(draw, view.place(box), f"{score:.2f}", colour=COLOURS[kind])
    picture.save(to, quality=85)


@dataclass(frozen=True)
class _View:
    """The part of a page that is shown, and how large."""

    area: tuple[int, int, int, int]
    """Left, top, right, bottom in the page's pixels."""

    scale: float

    @classmethod
    def of(cls, page: Page, size: tuple[int, int]) -> "_View":
        """Leave out empty margins, which would only make the print small."""
        boxes = [*page.missed, *page.ignored, *(box for box, _ in [*page.found, *page.false])]
        xs = [x for box in boxes for x, _ in box] or [0, size[0]]
        ys = [y for box in boxes for _, y in box] or [0, size[1]]
        margin = 0.04 * max(size)
        left, top = max(0, int(min(xs) - margin)), max(0, int(min(ys) - margin))
        right, bottom = min(size[0], int(max(xs) + margin) + 1), min(size[1], int(max(ys) + margin) + 1)
        area = (left, top, max(right, left + 1), max(bottom, top + 1))
        return cls(area=area, scale=min(ENLARGED, PAGE_SIDE / max(area[2] - left, area[3] - top)))

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the picture."""
        left, top, right, bottom = self.area
        return max(1, round((right - left) * self.scale)), max(1, round((bottom - top) * self.scale))

    def place(self, box: Box) -> list[tuple[float, float]]:
        """Turn pixels of the page into those of the picture."""
        return [((x - self.area[0]) * self.scale, (y - self.area[1]) * self.scale) for x, y in box]


def draw_line(line: Line, *, root: Path, to: Path) -> None:
    """Write the picture of a line as a PNG, shrunk if it is large."""
    picture = _opened(root / line.row["image"])
    picture.thumbnail(LINE_SIZE)
    picture.save(to)


def _opened(path: Path) -> Any:
    # Decoded as training does, so that boxes lie where the model saw them, whatever the EXIF data say.
    return Image.fromarray(images.decode(path.read_bytes())[..., ::-1])


def _outline(draw: Any, corners: Corners, *, colour: tuple[int, int, int], filled: bool, width: int = 2) -> None:
    draw.polygon(corners, fill=(*colour, 56) if filled else None)
    draw.line([*corners, corners[0]], fill=(*colour, 255), width=width, joint="curve")


def _label(draw: Any, corners: Corners, words: str, *, colour: tuple[int, int, int]) -> None:
    """Write words beside a box's upper right corner, or over it where the page ends there."""
    font = ImageFont.load_default(11)
    right, top = max(x for x, _ in corners), min(y for _, y in corners)
    width = draw.textlength(words, font=font) + 4
    left = min(right + 2, draw.im.size[0] - width)
    draw.rectangle((left, top, left + width, top + 13), fill=(*colour, 225))
    draw.text((left + 2, top), words, fill=(255, 255, 255, 255), font=font)


def _ignored(line: Mapping[str, Any]) -> bool:
    """Tell whether a labelled region does not count: marked so, or drawn across itself."""
    return line["transcription"] in DONT_CARE or not Polygon(line["points"]).is_valid


def read_rows(path: Path) -> list[Row]:
    """Read predictions.jsonl."""
    # Not splitlines(): a text may hold U+2028, which is a line's end to it and not to JSON.
    return [json.loads(line) for line in path.read_text("utf-8").split("\n") if line]
