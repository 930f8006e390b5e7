"""Faces of type that come with the pinned packages, so that nothing is downloaded.

Three families: Aileron, which Pillow carries within itself; DejaVu Sans, which OpenCV brings for its windows; and the
strokes of A. V. Hershey, which OpenCV draws by itself.
"""

from pathlib import Path
from typing import Protocol

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

Box = tuple[int, int, int, int]

_FINE = 4
"""Strokes are drawn so many times larger and then made smaller, for smooth edges."""


class Face(Protocol):
    """A face in one size."""

    name: str

    def width(self, text: str) -> int:
        """Return how many pixels a text takes."""

    def draw(self, draw: ImageDraw.ImageDraw, text: str, *, at: tuple[int, int], ink: tuple[int, ...]) -> Box:
        """Draw a text with its top left corner at a place; return the box round its ink."""


class Outline:
    """A face of a font file."""

    def __init__(self, name: str, font: ImageFont.FreeTypeFont) -> None:
        self.name, self._font = name, font

    def width(self, text: str) -> int:
        """Return how many pixels a text takes."""
        return round(self._font.getlength(text))

    def draw(self, draw: ImageDraw.ImageDraw, text: str, *, at: tuple[int, int], ink: tuple[int, ...]) -> Box:
        """Draw a text with its top left corner at a place; return the box round its ink."""
        draw.text(at, text, font=self._font, fill=ink)
        x1, y1, x2, y2 = (round(value) for value in self._font.getbbox(text))
        return at[0] + x1, at[1] + y1, at[0] + x2, at[1] + y2


class Strokes:
    """A face of OpenCV's own, whose letters are as high as those of a font of that size."""

    def __init__(self, name: str, number: int, *, size: int, thickness: int, stretch: float = 1) -> None:
        self.name, self._number, self._size, self._thickness, self._stretch = name, number, size, thickness, stretch
        # A capital is about 0.72 of a font's size high.
        self._scale = cv2.getFontScaleFromHeight(number, round(0.72 * size * _FINE), thickness)

    def width(self, text: str) -> int:
        """Return how many pixels a text takes."""
        return self._mask(text).shape[1]

    def draw(self, draw: ImageDraw.ImageDraw, text: str, *, at: tuple[int, int], ink: tuple[int, ...]) -> Box:
        """Draw a text with its top left corner at a place; return the box round its ink."""
        mask = self._mask(text)
        height, width = mask.shape
        left, top = at[0], at[1] + round(0.2 * self._size)
        draw.bitmap((left, top), Image.fromarray(mask), fill=ink)
        return left, top, left + width, top + height

    def _mask(self, text: str) -> np.ndarray:
        (width, height), below = cv2.getTextSize(text, self._number, self._scale, self._thickness)
        margin = self._thickness + below
        canvas = np.zeros((height + 2 * margin, width + 2 * margin), np.uint8)
        cv2.putText(
            canvas,
            text,
            (margin, margin + height),
            self._number,
            self._scale,
            255,
            self._thickness,
            cv2.LINE_AA,
        )
        canvas = cv2.resize(canvas, None, fx=self._stretch, fy=1, interpolation=cv2.INTER_AREA)
        x, y, width, height = cv2.boundingRect(canvas)
        # Whole pixels of the page, so that the box holds all of the ink.
        width, height = (-(-side // _FINE) * _FINE for side in (width, height))
        canvas = np.pad(canvas, ((0, _FINE), (0, _FINE)))[y : y + height, x : x + width]
        return cv2.resize(canvas, (width // _FINE, height // _FINE), interpolation=cv2.INTER_AREA)


def aileron(size: int) -> Face:
    """Make Aileron, a sans-serif like Helvetica."""
    font = ImageFont.load_default(size)
    if not isinstance(font, ImageFont.FreeTypeFont):
        raise SystemExit("This Pillow has no FreeType, so it cannot scale its font. Install Pillow from a wheel.")
    return Outline("Aileron", font)


def dejavu(size: int) -> Face:
    """Make DejaVu Sans, a wide sans-serif like Verdana."""
    return _dejavu("DejaVuSans", size)


def dejavu_bold(size: int) -> Face:
    """Make DejaVu Sans, bold and condensed."""
    return _dejavu("DejaVuSansCondensed-Bold", size)


def dejavu_bold_wide(size: int) -> Face:
    """Make DejaVu Sans, bold."""
    return _dejavu("DejaVuSans-Bold", size)


def dejavu_condensed(size: int) -> Face:
    """Make DejaVu Sans, condensed."""
    return _dejavu("DejaVuSansCondensed", size)


def dejavu_oblique(size: int) -> Face:
    """Make DejaVu Sans, sloping."""
    return _dejavu("DejaVuSansCondensed-Oblique", size)


def dejavu_light(size: int) -> Face:
    """Make DejaVu Sans, in thin lines."""
    return _dejavu("DejaVuSans-ExtraLight", size)


def _dejavu(name: str, size: int) -> Face:
    file = Path(cv2.__file__).parent / "qt" / "fonts" / f"{name}.ttf"
    if not file.exists():
        raise SystemExit(f"{file} is missing: this OpenCV has no fonts. Install opencv-contrib-python from a wheel.")
    return Outline(name, ImageFont.truetype(str(file), size))


def hershey_simplex(size: int) -> Face:
    """Make single strokes without serifs."""
    return Strokes("Hershey Simplex", cv2.FONT_HERSHEY_SIMPLEX, size=size, thickness=11)


def hershey_duplex(size: int) -> Face:
    """Make double strokes without serifs."""
    return Strokes("Hershey Duplex", cv2.FONT_HERSHEY_DUPLEX, size=size, thickness=7)


def hershey_complex(size: int) -> Face:
    """Make double strokes with serifs."""
    return Strokes("Hershey Complex", cv2.FONT_HERSHEY_COMPLEX, size=size, thickness=7)


def hershey_plain(size: int) -> Face:
    """Make single strokes without serifs, narrower."""
    return Strokes("Hershey Plain", cv2.FONT_HERSHEY_PLAIN, size=size, thickness=9)


def hershey_wide(size: int) -> Face:
    """Make single strokes without serifs, a little wider."""
    return Strokes("Hershey Simplex Wide", cv2.FONT_HERSHEY_SIMPLEX, size=size, thickness=9, stretch=1.1)


def hershey_italic(size: int) -> Face:
    """Make double strokes with serifs, sloping."""
    return Strokes("Hershey Complex Italic", cv2.FONT_HERSHEY_COMPLEX | cv2.FONT_ITALIC, size=size, thickness=7)


def hershey_simplex_bold(size: int) -> Face:
    """Make single strokes without serifs, drawn with a broad pen."""
    return Strokes("Hershey Simplex Bold", cv2.FONT_HERSHEY_SIMPLEX, size=size, thickness=17)


def hershey_duplex_narrow(size: int) -> Face:
    """Make double strokes without serifs, narrower and bolder."""
    return Strokes("Hershey Duplex Narrow", cv2.FONT_HERSHEY_DUPLEX, size=size, thickness=11, stretch=0.88)


def hershey_complex_bold(size: int) -> Face:
    """Make double strokes with serifs, drawn with a broad pen."""
    return Strokes("Hershey Complex Bold", cv2.FONT_HERSHEY_COMPLEX, size=size, thickness=14)


def hershey_complex_wide(size: int) -> Face:
    """Make double strokes with serifs, wider and bolder."""
    return Strokes("Hershey Complex Wide", cv2.FONT_HERSHEY_COMPLEX, size=size, thickness=11, stretch=1.15)


def hershey_triplex(size: int) -> Face:
    """Make triple strokes with serifs: as bold as a headline."""
    return Strokes("Hershey Triplex", cv2.FONT_HERSHEY_TRIPLEX, size=size, thickness=7)
