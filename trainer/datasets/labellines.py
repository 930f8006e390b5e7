"""One line of a label file: reading it, checking it and writing it. Uses the standard library only."""

import itertools
import json
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from trainer.datasets.labelfiles import LineError, listed

IGNORED_TEXTS: Final = frozenset({"###", "*"})
"""What PaddleOCR's own datasets write for text that nobody can read; its det loader masks such regions."""

UNREAD_TEXTS: Final = frozenset({"", "待识别", "TEMPORARY"})
"""What PPOCRLabel writes into a box whose text nobody has typed yet: a box for det, nothing to learn for rec.

The two words are its `tempLabel` (resources/strings, in Chinese and in English, of PFCCLab/PPOCRLabel). They are
left out of pages only: in a rec label file TEMPORARY may well be a word.
"""

_DIFFICULT: Final[Mapping[object, bool]] = {
    **{True: True, "true": True, "1": True},  # the number 1 is equal to True
    **{False: False, "false": False, "0": False, "": False, None: False},
}
"""What programs write for `difficult`, PPOCRLabel's mark."""

_FARTHEST: Final = 1_000_000
"""Pixels. No image is larger, and float32 holds such a coordinate exactly."""

Point = tuple[float, float]


@dataclass(frozen=True, kw_only=True)
class Region:
    """One marked piece of text on a page."""

    text: str
    """What stands there, as transcribed."""

    points: tuple[Point, ...]
    """Corners in pixels."""

    difficult: bool = False
    """PPOCRLabel's mark for text that should not count."""

    @property
    def marked(self) -> bool:
        """Whether somebody has marked it as unreadable."""
        return self.difficult or self.text in IGNORED_TEXTS

    @property
    def ignored(self) -> bool:
        """Whether it is neither text nor background: masked for det, left out for rec."""
        return self.marked or self.area < 1

    @property
    def readable(self) -> bool:
        """Whether somebody has read it: what a recogniser may learn."""
        return not self.marked and self.text not in UNREAD_TEXTS

    @property
    def flawed(self) -> bool:
        """Whether the corners make no polygon at all."""
        return len(self.points) < 3

    @property
    def crossed(self) -> bool:
        """Whether two sides cross, so that nobody can say what is inside; sides that only touch do not."""
        sides = list(zip(self.points, self.points[1:] + self.points[:1], strict=True))
        return any(
            _beside(a, b, c) * _beside(a, b, d) < 0 and _beside(c, d, a) * _beside(c, d, b) < 0
            for (a, b), (c, d) in itertools.combinations(sides, 2)
        )

    @property
    def area(self) -> float:
        """Square pixels; PaddleOCR masks a region below 1."""
        pairs = zip(self.points, self.points[1:] + self.points[:1], strict=True)
        return abs(sum(a[0] * b[1] - b[0] * a[1] for a, b in pairs)) / 2


def _beside(a: Point, b: Point, c: Point) -> float:
    """Return on which side of the line through a and b the point c is: above 0, below 0, or 0 for on the line."""
    return (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])


def parse(raw: bytes, kind: Literal["det", "rec"]) -> tuple[tuple[str, ...], str | None, tuple[Region, ...]] | None:
    """Read one line of a label file.

    Args:
        raw: the line, without its line feed.
        kind: what the file holds.

    Returns:
        Images, text (rec; `flaw_of` says whether it can be learnt), regions (det); None for an empty line.

    Raises:
        LineError: what is wrong with it.
    """
    try:
        line = raw.decode("utf-8").removesuffix("\r")
    except UnicodeDecodeError as error:
        raise LineError("the line is not UTF-8", detail=f" (byte {error.start + 1}); save the file as UTF-8") from error
    if not line.strip():
        return None
    image, tab, label = line.partition("\t")
    if not tab:
        raise LineError("the line has no tab between image and label")
    images = listed(image) or (image,)
    if kind == "det":
        return images, None, _regions(label)
    return images, label, ()


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise LineError("the JSON is invalid", detail=f" ({error})") from error
    except RecursionError as error:
        raise LineError("the JSON is invalid", detail=" (nested too deeply)") from error


def _regions(label: str) -> tuple[Region, ...]:
    items = _json(label)
    if not isinstance(items, list):
        raise LineError("the label is not a JSON list of regions")
    return tuple(_region(item, number) for number, item in enumerate(items, start=1))


def _region(item: object, number: int) -> Region:
    place = f" (region {number})"
    if not isinstance(item, dict) or not isinstance(item.get("transcription"), str):
        raise LineError("a region has no `transcription`, or one that is not a string", detail=place)
    points = item.get("points")
    if not isinstance(points, list) or not all(_is_point(point) for point in points):
        raise LineError("a region has no `points`, a list of [x, y] in pixels", detail=place)
    text = item["transcription"]
    if any(unicodedata.category(c) == "Cs" for c in text):
        raise LineError("a transcription is not valid Unicode", detail=place)
    difficult = item.get("difficult", False)
    if isinstance(difficult, str):
        difficult = difficult.strip().lower()
    # A list or a mapping cannot be looked up.
    if isinstance(difficult, list | dict) or difficult not in _DIFFICULT:
        raise LineError("a region's `difficult` is neither true nor false", detail=place)
    return Region(text=text, points=tuple((x, y) for x, y in points), difficult=_DIFFICULT[difficult])


def _is_point(value: object) -> bool:
    return (
        isinstance(value, list)
        and len(value) == 2
        and all(isinstance(n, int | float) and not isinstance(n, bool) for n in value)
        and all(abs(n) <= _FARTHEST for n in value)  # False for NaN, too
    )


def flaw_of(text: str) -> str | None:
    """Return why a recogniser cannot learn a text; None when it can."""
    if not text.strip():
        return "the label is empty"
    # A dictionary has one character per line, and in a label file a tab ends a field.
    control = next((c for c in text if unicodedata.category(c) in ("Cc", "Cs")), None)
    return f"the label has the control character U+{ord(control):04X}" if control else None


def spell(regions: Iterable[Region], *, masked: bool) -> str:
    """Write regions as PPOCRLabel does.

    Args:
        regions: of one page.
        masked: write `###` for every ignored region, since PaddleOCR's det loader knows ignored text by
            that alone and does not look at `difficult`.
    """
    items = [
        {
            "transcription": "###" if masked and region.ignored else region.text,
            "points": [list(point) for point in region.points],
            "difficult": region.difficult,
        }
        for region in regions
    ]
    return json.dumps(items, ensure_ascii=False)
