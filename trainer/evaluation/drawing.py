"""Pictures of what was read: the page with its boxes on the left, text and confidence in the same places on the right.

Paddle-free. Fonts come with Pillow or from a file; nothing is downloaded.
"""

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from trainer.errors import SpecError

Point = tuple[float, float]

GOOD: Final = (22, 130, 75)
DOUBTFUL: Final = (196, 120, 0)
BAD: Final = (196, 40, 45)
INK: Final = (32, 36, 44)
PAPER: Final = (255, 255, 255)
GREY: Final = (116, 122, 134)
RULE: Final = (214, 218, 226)

LEGIBLE: Final = 22
"""Height in pixels that half of the lines get at least: a small page is enlarged until then."""
LARGEST: Final = 2600
"""Longest side of a page in a picture, in pixels."""
SIDES: Final = 2
"""Pixels between the text and its box."""


@dataclass(frozen=True, kw_only=True)
class Line:
    """A line of a page: where it is, what it says, and how sure the models are."""

    box: tuple[Point, ...]
    """Corners, clockwise from the top left, in pixels of the page."""

    score: float | None = None
    """The detector's, 0 to 1."""

    text: str | None = None
    """What the recogniser read; none without a recogniser."""

    confidence: float | None = None
    """The recogniser's, 0 to 1."""


def page(image: npt.NDArray[np.uint8], lines: Sequence[Line], *, font: Path | None = None) -> Image.Image:
    """Draw a page with its lines: on the left the boxes, on the right the texts, if any.

    Args:
        image: the page, BGR.
        lines: what was found.
        font: a TrueType or OpenType file for scripts that Pillow's own font lacks.

    Raises:
        SpecError: the font cannot be loaded.
    """
    height, width = image.shape[:2]
    scale = _scale(height, width, lines)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    left = Image.fromarray(np.ascontiguousarray(image[:, :, ::-1])).resize(size, Image.Resampling.LANCZOS)
    placed = [_Placed(line, [(x * scale, y * scale) for x, y in line.box]) for line in lines]
    _draw_boxes(left, placed, font)
    if all(line.text is None for line in lines):
        return left
    picture = Image.new("RGB", (size[0] * 2 + 1, size[1]), RULE)
    picture.paste(left)
    right = Image.new("RGB", size, PAPER)
    draw = ImageDraw.Draw(right)
    for spot in placed:
        _draw_text(draw, spot, width=size[0], font=font)
    picture.paste(right, (size[0] + 1, 0))
    return picture


def line(image: npt.NDArray[np.uint8], read: Line, *, font: Path | None = None) -> Image.Image:
    """Draw a single line's image with what was read below it."""
    height, width = image.shape[:2]
    scale = min(56 / height, LARGEST / width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    strip = Image.fromarray(np.ascontiguousarray(image[:, :, ::-1])).resize(size, Image.Resampling.LANCZOS)
    text, confidence = read.text or "(nothing)", _percent(read.confidence)
    letters, small = _font(font, 30), _font(font, 18)
    needed = math.ceil(letters.getlength(text) + small.getlength(confidence)) + 16
    picture = Image.new("RGB", (max(size[0], needed) + 24, size[1] + 70), PAPER)
    picture.paste(strip, (12, 12))
    draw = ImageDraw.Draw(picture)
    base = size[1] + 52
    draw.text((12, base), text, fill=INK if read.text else GREY, font=letters, anchor="ls")
    at = 12 + letters.getlength(text) + 12
    draw.text((at, base), confidence, fill=_colour(read.confidence), font=small, anchor="ls")
    return picture


def lacking(text: str, font: Path | None = None) -> str:
    """Return the characters of a text that a font has no glyph for; a picture shows an empty frame for them."""
    letters = _font(font, 16)
    empty = bytes(letters.getmask("\U0010fffd"))  # for private use: no font has it
    return "".join(sorted(c for c in set(text) if not c.isspace() and bytes(letters.getmask(c)) == empty))


@dataclass(frozen=True)
class _Placed:
    """A line with its corners in pixels of the picture."""

    line: Line
    corners: list[Point]

    @property
    def colour(self) -> tuple[int, int, int]:
        sure = self.line.confidence if self.line.text is not None else self.line.score
        return _colour(sure)

    @property
    def frame(self) -> tuple[float, float, float, float]:
        xs, ys = zip(*self.corners, strict=True)
        return min(xs), min(ys), max(xs), max(ys)

    @property
    def height(self) -> float:
        """The length of the left edge: a sloping line is less high than its frame."""
        return math.dist(self.corners[0], self.corners[-1])


def _scale(height: int, width: int, lines: Sequence[Line]) -> float:
    heights = [math.dist(item.box[0], item.box[-1]) for item in lines if len(item.box) > 2]
    wanted = LEGIBLE / max(1.0, float(np.median(heights))) if heights else 1.0
    return min(max(1.0, min(wanted, 4.0)), LARGEST / max(height, width))


def _draw_boxes(picture: Image.Image, placed: Sequence[_Placed], font: Path | None) -> None:
    """Tint and outline each box; without text the score stands at its corner."""
    veil = Image.new("RGBA", picture.size)
    draw = ImageDraw.Draw(veil)
    for spot in placed:
        draw.polygon(spot.corners, fill=(*spot.colour, 36))
        draw.line([*spot.corners, spot.corners[0]], fill=spot.colour, width=2, joint="curve")
        if spot.line.text is None and spot.line.score is not None:
            letters = _font(font, 13)
            label = _percent(spot.line.score)
            x, y = spot.corners[0]
            y = max(y, 15)
            draw.rectangle((x, y - 15, x + letters.getlength(label) + 6, y), fill=spot.colour)
            draw.text((x + 3, y - 3), label, fill=PAPER, font=letters, anchor="ls")
    picture.paste(veil, (0, 0), veil)


def _draw_text(draw: ImageDraw.ImageDraw, spot: _Placed, *, width: int, font: Path | None) -> None:
    """Write a line's text as large as its box allows, and how sure it is behind it."""
    left, top, right, bottom = spot.frame
    draw.line([*spot.corners, spot.corners[0]], fill=tuple((c + 510) // 3 for c in spot.colour), width=1)
    text = spot.line.text or ""
    label = _percent(spot.line.confidence)
    room, height = right - left - 2 * SIDES, max(9.0, min(spot.height, bottom - top))
    if height > 2.2 * room and len(text) > 1:  # upright text: keep it legible, let it run over
        room, height = height, room
    small = _font(font, max(10, min(16, int(height * 0.5))))
    behind = small.getlength(label) + 3 * SIDES
    outside = behind > room * 0.3  # a short line needs all of its box for the text
    letters = _fitting(text, room=room if outside else room - behind, height=height, font=font)
    middle = (top + bottom) / 2
    draw.text((left + SIDES, middle), text, fill=INK, font=letters, anchor="lm")
    if outside:
        at = max(right, left + letters.getlength(text)) + 2 * SIDES
        if at + behind > width:
            at = left - behind
    else:
        at = right - behind + SIDES
    draw.text((at, middle), label, fill=spot.colour, font=small, anchor="lm")


def _fitting(text: str, *, room: float, height: float, font: Path | None) -> Any:
    """Return the largest font in which the text fits; 8 pixels at least."""
    size = max(8, int(height * 0.82))
    length = _font(font, size).getlength(text)
    return _font(font, size if length <= room else max(8, int(size * room / length)))


def _colour(sure: float | None) -> tuple[int, int, int]:
    if sure is None or sure >= 0.9:
        return GOOD
    return DOUBTFUL if sure >= 0.7 else BAD


def _percent(sure: float | None) -> str:
    return "" if sure is None else f"{sure:.0%}"


@functools.lru_cache(maxsize=256)
def _font(path: Path | None, size: int) -> Any:
    if path is None:
        return ImageFont.load_default(size)
    try:
        return ImageFont.truetype(str(path), size)
    except OSError as error:
        raise SpecError(f"--font '{path}' cannot be loaded as a font. Name a .ttf, .otf or .ttc file.") from error
