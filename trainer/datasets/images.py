"""Image files: decoding, sizes, and crops of lines exactly as users of the published model cut them.

OpenCV and numpy are imported where they are used, so that the submitter may import what imports this.
"""

import hashlib
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

from trainer.system import atomic
from trainer.system.cpu import cores
from trainer.telemetry.callbacks import OnProgress

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Image = npt.NDArray[np.uint8]
    """Height × width × blue, green, red."""

T = TypeVar("T")

TALL: Final = 1.5
"""A crop this many times as high as wide is taken for upright text and laid on its side."""

_CHUNK: Final = 16
"""Images a task; a crop of a line decodes in about 0.1 ms, less than it costs to hand it to a thread."""

_TIFF: Final = (b"II*\0", b"MM\0*")
"""How such a file begins."""

_PNG_COMPRESSION: Final = 1
"""The fastest: on the receipts the best one saves 5 % and takes 4.6 times the processor's time."""

_PNG_END: Final = b"\x00\x00\x00\x00IEND\xaeB`\x82"


class ImageError(Exception):
    """An image, or a region of one, cannot be used; the message is a phrase that follows `Label.txt:12:`."""


def decode(raw: bytes) -> "Image":
    """Decode an image file as training does: three channels, rotated by its EXIF orientation.

    Raises:
        ImageError: it is empty, truncated or not an image.
    """
    import cv2
    import numpy as np

    if not raw:
        raise ImageError("the image file is empty")
    # OpenCV silently fills the missing part of a truncated JPEG with grey.
    if raw.startswith(b"\xff\xd8") and not _is_whole_jpeg(raw):
        raise ImageError("the image is truncated")
    data = np.frombuffer(raw, np.uint8)
    try:
        image = cv2.imdecode(data, cv2.IMREAD_COLOR)
        if image is None or not image.size:
            raise ImageError("the image is truncated, or not an image that OpenCV reads")
        # OpenCV converts CMYK, 16 bits per channel and palettes correctly; of these types it makes noise.
        if raw[:4] in _TIFF and cv2.imdecode(data, cv2.IMREAD_UNCHANGED).dtype not in (np.uint8, np.uint16):
            raise ImageError(
                "the image is a TIFF with floating-point or signed pixels; save it with 8 bits per channel"
            )
    except cv2.error as error:
        raise ImageError("the image cannot be decoded") from error
    result: Image = image
    return result


def _is_whole_jpeg(raw: bytes) -> bool:
    """Whether an end-of-image marker comes after the first scan (an embedded preview has one before)."""
    at = 2
    while raw[at : at + 1] == b"\xff":
        marker = raw[at + 1 : at + 2]
        if marker == b"\xda":
            return raw.find(b"\xff\xd9", at) != -1
        # Fill bytes stand alone; all other segments before the scan have a length.
        at += 1 if marker == b"\xff" else 2 + int.from_bytes(raw[at + 2 : at + 4], "big")
    return False


def read_all(
    paths: Sequence[Path], visit: "Callable[[int, Image, str], T]", *, progress: OnProgress | None = None
) -> "list[T | ImageError]":
    """Read and decode every image once, on all cores.

    Args:
        paths: the files.
        visit: called in a thread with the place in `paths`, the image and the sha256 of its file.
        progress: told after every few images.

    Returns:
        What `visit` gave for each path, in order, or the error that the file or `visit` raised.
    """

    def one(place: int) -> "T | ImageError":
        try:
            raw = paths[place].read_bytes()
            return visit(place, decode(raw), hashlib.sha256(raw).hexdigest())
        except ImageError as error:
            return error
        except OSError as error:
            # Only reading can be meant: what `visit` writes is not the image's fault.
            if error.filename != str(paths[place]):
                raise
            return ImageError(f"the image cannot be read ({error.strerror})")

    def some(start: int) -> "list[T | ImageError]":
        return [one(place) for place in range(start, min(start + _CHUNK, len(paths)))]

    results: list[T | ImageError] = []
    # Threads, since OpenCV and hashlib let go of the interpreter's lock.
    with ThreadPoolExecutor(cores()) as pool:
        for part in pool.map(some, range(0, len(paths), _CHUNK)):
            results += part
            if progress:
                progress(len(results), len(paths))
    return results


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
