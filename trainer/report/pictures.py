"""Pictures of what a model read: which samples to show, and the pages with their boxes.

Pillow and its bundled font only: the report is made where nothing else can be taken for granted.
"""

import itertools
import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

from PIL import Image, ImageDraw, ImageFont

from trainer.evaluation import analysis
from trainer.evaluation.analysis import Comparison, Row
from trainer.evaluation.matching import Box, Match, match

if TYPE_CHECKING:
    from trainer.datasets.images import Image as Pixels

Corners = list[tuple[float, float]]
"""A box in the pixels of a picture."""
Pieces = list[tuple[str, bool]]
"""A text in pieces, each with whether it is as it should be."""

SHOWN: Final[Mapping[str, int]] = {"det": 12, "rec": 24}
"""Samples in a report: a page of them is looked at, a hundred are not."""

PAGE_SIDE: Final = 1200
"""Longest side of a pictured page, in pixels: small print of a receipt stays readable."""

ENLARGED: Final = 2.5
"""How much a small page is enlarged at most, so that the confidences do not cover the print."""

LINE_SIZE: Final = (900, 64)
"""Largest width and height of a pictured line."""

COLOURS: Final[Mapping[str, tuple[int, int, int]]] = {
    "labelled": (37, 99, 235),
    "found": (5, 150, 105),
    "missed": (220, 38, 38),
    "false": (217, 119, 6),
    "ignored": (120, 120, 130),
}
"""Of boxes in pages; the page's legend uses the same."""

LEGEND: Final[Mapping[str, tuple[str, str]]] = {
    "labelled": ("blue", "labelled and found"),
    "found": ("green", "the box that found it"),
    "missed": ("red", "labelled but missed"),
    "false": ("orange", "found where nothing is labelled"),
    "ignored": ("grey", "not counted"),
}
"""What the colours are called, and what they mean."""


@dataclass(frozen=True)
class Page:
    """A page with what a detector found in it."""

    row: Row
    """A line of predictions.jsonl."""

    @cached_property
    def match(self) -> Match:
        """Which lines were found, and by which boxes."""
        return match(self.row)

    @property
    def right(self) -> bool:
        """Whether every line was found, and nothing else."""
        return not (self.match.missed or self.match.false)

    @property
    def rank(self) -> tuple[float, float]:
        """Sort key: the worst page first."""
        return self.match.hmean, -len(self.match.missed) - len(self.match.false)

    def lines(self, places: Iterable[int]) -> list[Box]:
        """Return labelled lines."""
        return [self.row["label"][place]["points"] for place in places]

    def boxes(self, places: Iterable[int]) -> list[tuple[Box, float]]:
        """Return boxes that were found, with their scores."""
        return [(self.row["boxes"][place], float(self.row["scores"][place])) for place in places]


@dataclass(frozen=True)
class Line:
    """A line with what a recogniser read in it."""

    row: Row
    """A line of predictions.jsonl."""

    comparison: Comparison
    """What counts as equal."""

    @property
    def right(self) -> bool:
        """Whether the text is the label, as the metric sees it."""
        return self.rank[0] == 1

    @cached_property
    def pieces(self) -> tuple[Pieces, Pieces]:
        """The label and the text in pieces, each with whether the two agree in it."""
        label, text = analysis.wrong_places(self.row, self.comparison)
        return _pieces(self.row["label"], label), _pieces(self.row["text"], text)

    @cached_property
    def rank(self) -> tuple[float, float]:
        """Sort key: the worst line first; among the right ones, that of least confidence."""
        return analysis.badness(self.row, self.comparison)


def _pieces(text: str, wrong: Collection[int]) -> Pieces:
    groups = itertools.groupby(enumerate(text), key=lambda pair: pair[0] not in wrong)
    return [("".join(character for _, character in group), agrees) for agrees, group in groups]


_WHITE: Final = (255, 255, 255)

Sample = TypeVar("Sample", Page, Line)


def choose(samples: Iterable[Sample], most: int) -> tuple[list[Sample], list[Sample]]:
    """Choose samples to show: the worst ones, and as many evenly from the rest.

    The rest is as the model reads on the whole, which the worst ones do not tell.
    """
    ordered = sorted(samples, key=lambda sample: (sample.rank, sample.row["image"]))
    half = most // 2
    worst, rest = ordered[:half], ordered[half:]
    if len(rest) > half:
        rest = [rest[(2 * place + 1) * len(rest) // (2 * half)] for place in range(half)]
    return worst, rest


def draw_page(page: Page, image: "Pixels", *, to: Path) -> None:
    """Draw the written part of a page: the labelled lines, and all boxes that were found with their scores.

    Args:
        page: what to draw.
        image: its pixels.
        to: the JPEG to write.
    """
    picture = _picture(image)
    view = _View.of(page, picture.size)
    picture = picture.crop(view.area).resize(view.size)
    draw = ImageDraw.Draw(picture, "RGBA")
    found = page.match
    for kind, places in (("ignored", found.ignored), ("missed", found.missed)):
        for box in page.lines(places):
            _outline(draw, view.place(box), colour=COLOURS[kind], filled=True)
    for box in page.lines(found.pairs):
        _outline(draw, view.place(box), colour=COLOURS["labelled"], filled=False, width=1)
    for kind, boxes in (("found", found.pairs.values()), ("false", found.false)):
        for box, score in page.boxes(boxes):
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
        boxes = [*page.lines(range(len(page.row["label"]))), *page.row["boxes"]]
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


def draw_line(image: "Pixels", *, to: Path) -> None:
    """Write the picture of a line as a PNG, shrunk if it is large."""
    picture = _picture(image)
    picture.thumbnail(LINE_SIZE)
    picture.save(to)


def _picture(image: "Pixels") -> Any:
    return Image.fromarray(image[..., ::-1])


def _outline(draw: Any, corners: Corners, *, colour: tuple[int, int, int], filled: bool, width: int = 2) -> None:
    draw.polygon(corners, fill=(*colour, 56) if filled else None)
    draw.line([*corners, corners[0]], fill=colour, width=width, joint="curve")


def _label(draw: Any, corners: Corners, words: str, *, colour: tuple[int, int, int]) -> None:
    """Write words beside a box's upper right corner, or over it where the page ends there."""
    font = ImageFont.load_default(11)
    right, top = max(x for x, _ in corners), min(y for _, y in corners)
    width = draw.textlength(words, font=font) + 4
    left = min(right + 2, draw.im.size[0] - width)
    draw.rectangle((left, top, left + width, top + 13), fill=(*colour, 225))
    draw.text((left + 2, top), words, fill=_WHITE, font=font)


def read_rows(path: Path) -> list[Row]:
    """Read predictions.jsonl."""
    # Not splitlines(): a text may hold U+2028, which is a line's end to it and not to JSON.
    return [json.loads(line) for line in path.read_text("utf-8").split("\n") if line]
