"""Image files: decoding, sizes, and crops of lines exactly as users of the published model cut them.

OpenCV and numpy are imported where they are used, so that the submitter may import what imports this.
"""

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from trainer.contract import MAX_PIXELS
from trainer.datasets import headers
from trainer.datasets.headers import Header
from trainer.datasets.headers import ImageError as ImageError
from trainer.system import atomic

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Image = npt.NDArray[np.uint8]
    """Height × width × blue, green, red."""

TALL: Final = 1.5
"""A crop this many times as high as wide is taken for upright text and laid on its side."""

_STRIP: Final = 256
"""Rows of an image that are laid on white at once."""

_PNG_COMPRESSION: Final = 1
"""The fastest: on the receipts the best one saves 5 % and takes 4.6 times the processor's time."""

_PNG_END: Final = b"\x00\x00\x00\x00IEND\xaeB`\x82"


@dataclass(frozen=True)
class Loaded:
    """An image as people see it, and in what that differs from the pixels in the file."""

    pixels: "Image"

    turned: bool
    """It was turned, as its EXIF orientation says."""

    laid_on_white: bool
    """It was laid on white, since some of it is transparent."""


def decode(raw: bytes, *, max_pixels: int | None = MAX_PIXELS) -> "Image":
    """Return the pixels of an image file; see `load`."""
    return load(raw, max_pixels=max_pixels).pixels


def load(raw: bytes, *, max_pixels: int | None = MAX_PIXELS) -> Loaded:
    """Decode an image file: three channels, turned by its EXIF orientation, on white where it is transparent.

    This is the only place of the project where foreign bytes reach an image decoder. Their header is checked first.

    Args:
        raw: the file.
        max_pixels: the limit of width × height; None for an image whose pixels `prepare` has counted.

    Raises:
        ImageError: it is empty, truncated, not of a format that `headers` has, or has too many pixels.
    """
    import cv2
    import numpy as np

    header = headers.read(raw)
    if max_pixels is not None and header.pixels > max_pixels:
        raise ImageError(
            f"the image has more than {max_pixels:,} pixels, the limit (run.data.maxPixels)",
            detail=f" ({header.width} × {header.height})",
        )
    # OpenCV silently fills the missing part of a truncated JPEG with grey.
    if header.format == "JPEG" and not _is_whole_jpeg(raw, header.scan):
        raise ImageError("the image is truncated")
    how = cv2.IMREAD_UNCHANGED if header.transparent else cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
    try:
        shown = headers.png_pixels(raw) if header.format == "PNG" else raw
        image: Any = cv2.imdecode(np.frombuffer(shown, np.uint8), how)
    except cv2.error as error:
        raise ImageError("the image cannot be decoded") from error
    if image is None or not image.size:
        raise ImageError("the image is truncated, or OpenCV cannot read it")
    # libtiff turns by itself, whatever OpenCV is asked for.
    turned = header.format == "TIFF" and header.orientation >= 5
    if image.shape[:2] != ((header.width, header.height) if turned else (header.height, header.width)):
        raise ImageError("the header of the image gives it another size than it has")
    laid_on_white = False
    if header.transparent:
        image, laid_on_white = _on_white(image, _opacity(image, header, raw), premultiplied=header.premultiplied)
    if header.format != "TIFF":
        image = _upright(image, header.orientation)
    return Loaded(image, turned=header.orientation != 1, laid_on_white=laid_on_white)


def _is_whole_jpeg(raw: bytes, scan: int) -> bool:
    """Whether an end-of-image marker comes after the first scan (an embedded preview has one before)."""
    return scan > 0 and raw.find(b"\xff\xd9", scan) != -1


def _opacity(image: Any, header: Header, raw: bytes) -> Any:
    """Return the opacity of each pixel, 0 to 255, or None if the file has none after all."""
    import numpy as np

    if header.grey_key is not None:
        return np.where(image == header.grey_key, 0, 255).astype(np.uint8) if image.ndim == 2 else None
    if header.format == "BMP":
        # OpenCV drops this channel. The pixels lie in the file as they are, bottom row first.
        at = int.from_bytes(raw[10:14], "little")
        size = header.width * header.height * 4
        opacity = np.frombuffer(raw[at : at + size], np.uint8)[3::4]
        if opacity.size * 4 != size or not opacity.any():  # all transparent: a program that left the bytes unset
            return None
        rows = opacity.reshape(header.height, header.width)
        return rows if int.from_bytes(raw[22:26], "little", signed=True) < 0 else rows[::-1]
    return _to_bytes(image[:, :, 3]) if image.ndim == 3 and image.shape[2] == 4 else None


def _on_white(image: Any, opacity: Any, *, premultiplied: bool) -> "tuple[Image, bool]":
    """Lay an image on white; return it with three channels, and whether that changed it."""
    import cv2
    import numpy as np

    image = _to_bytes(image)
    image = cv2.cvtColor(image, cv2.COLOR_GRAY2BGR) if image.ndim == 2 else np.ascontiguousarray(image[:, :, :3])
    if opacity is None or opacity.min() == 255:
        return image, False
    # In strips, since the numbers between take twice the room of the image.
    for top in range(0, len(image), _STRIP):
        strip = image[top : top + _STRIP].astype(np.uint16)
        alpha = cv2.cvtColor(opacity[top : top + _STRIP], cv2.COLOR_GRAY2BGR).astype(np.uint16)
        if not premultiplied:
            strip = strip * alpha + 128
            strip = strip + (strip >> 8) >> 8  # divides by 255, rounded, for every product of two bytes
        image[top : top + _STRIP] = np.minimum(strip + (255 - alpha), 255)
    return image, True


def _to_bytes(pixels: Any) -> Any:
    """Return 8 bits per channel; as OpenCV makes 8 of 16."""
    return (pixels >> 8).astype("uint8") if pixels.dtype == "uint16" else pixels


def _upright(image: Any, orientation: int) -> "Image":
    """Turn an image as its EXIF orientation says."""
    import cv2

    if orientation >= 5:
        image = cv2.transpose(image)
    # After that, the first row, the first column or both are on the other side.
    flipped = {3: -1, 4: 0, 8: 0, 2: 1, 6: 1, 7: -1}.get(orientation)
    result: Image = image if flipped is None else cv2.flip(image, flipped)
    return result


def crop(image: "Image", points: Any) -> "Image":
    """Cut a line of text out of a page as PaddleOCR 3.x's pipeline does with a detector's box.

    That pipeline does not cut along the corners given, but along the rectangle of least area around them (in
    whole pixels), left to right and upright; a crop `TALL` times as high as wide is turned by 90° against the
    clock. A recogniser is trained on the same, bit for bit, as it will read.

    Args:
        image: the page.
        points: corners of a polygon, at least 3, in pixels.

    Raises:
        ImageError: the region has no pixels, or lies for the most part outside the page.
    """
    import cv2
    import numpy as np

    corners, (width, height) = _frame(points)
    _check_inside(points, image.shape[1], image.shape[0])
    target = np.array([(0, 0), (width, 0), (width, height), (0, height)], np.float32)
    warp = cv2.getPerspectiveTransform(corners, target)
    try:
        line = cv2.warpPerspective(image, warp, (width, height), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    except cv2.error as error:
        raise ImageError("the region cannot be cut out") from error
    result: Image = np.ascontiguousarray(np.rot90(line)) if height / width >= TALL else line
    return result


def crop_size(points: Any, *, width: int, height: int) -> tuple[int, int]:
    """Return the width and height that `crop` would produce for a page of this size, without cropping.

    Raises:
        ImageError: as `crop`.
    """
    _, (across, down) = _frame(points)
    _check_inside(points, width, height)
    return (down, across) if down / across >= TALL else (across, down)


def _frame(points: Any) -> "tuple[npt.NDArray[np.float32], tuple[int, int]]":
    """Find the rectangle around a polygon: corners from the top left, clockwise; width and height."""
    import cv2
    import numpy as np

    around = cv2.boxPoints(cv2.minAreaRect(np.array(points).astype(np.int32)))
    by_x = sorted(around, key=lambda point: float(point[0]))
    top_left, bottom_left = by_x[:2] if by_x[1][1] > by_x[0][1] else by_x[1::-1]
    top_right, bottom_right = by_x[2:] if by_x[3][1] > by_x[2][1] else by_x[:1:-1]
    width = int(max(np.linalg.norm(top_left - top_right), np.linalg.norm(bottom_right - bottom_left)))
    height = int(max(np.linalg.norm(top_left - bottom_left), np.linalg.norm(top_right - bottom_right)))
    if width < 1 or height < 1:
        raise ImageError("the region has no pixels")
    return np.array([top_left, top_right, bottom_right, bottom_left], np.float32), (width, height)


def _check_inside(points: Any, width: int, height: int) -> None:
    # What is not on the page would be filled with its border.
    if outside(points, width=width, height=height):
        raise ImageError("the region lies outside the image")


def outside(points: Any, *, width: int, height: int) -> bool:
    """Return whether most of a region is outside the page: it belongs to another image, or to another size of it."""
    xs, ys = [float(point[0]) for point in points], [float(point[1]) for point in points]
    inside = max(0.0, min(max(xs), width) - max(min(xs), 0)) * max(0.0, min(max(ys), height) - max(min(ys), 0))
    return inside * 2 < (max(xs) - min(xs)) * (max(ys) - min(ys))


def crop_name(page: str, points: Any) -> str:
    """Name the crop of a region by what it is made of: the page's sha256 and the corners."""
    text = f"{page} {[[float(x), float(y)] for x, y in points]}"
    name = hashlib.sha256(text.encode()).hexdigest()[:32]
    return f"{name[:2]}/{name}.png"


def save_once(path: Path, make: "Callable[[], Image]") -> None:
    """Write a PNG file, unless it is there and whole.

    PNG and not JPEG: a crop that is trained on is then bit for bit what a reader cuts out. The receipts' 6,663
    crops take 35.6 MB so (5 kB each), and 20.3 MB as JPEG at quality 95.
    """
    import cv2

    if _is_whole_png(path):
        return
    encoded = cv2.imencode(".png", make(), [cv2.IMWRITE_PNG_COMPRESSION, _PNG_COMPRESSION])[1].tobytes()
    path.parent.mkdir(parents=True, exist_ok=True)
    # Two label lines may be of the same crop, and be cut by two threads.
    with atomic.temporary(path, prefix=f".{path.stem}.") as new:
        new.write_bytes(encoded)
        atomic.replace(new, path, durable=False)


def _is_whole_png(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            file.seek(-len(_PNG_END), os.SEEK_END)
            return file.read() == _PNG_END
    except OSError:
        return False
