"""The shared library of native/operators.c: types, shapes and sizes are checked here, before any pointer is passed.

It is optional. `make native` and the image's build compile it; without it PaddleOCR's own operators are used.
"""

import ctypes
from functools import cache
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

PATH: Final = Path(__file__).with_name("liboperators.so")

INTERFACE: Final = 1
"""`INTERFACE` of native/operators.c: a library of another one is not used."""

Image = npt.NDArray[np.uint8]
"""Height × width × three channels."""
Floats = npt.NDArray[np.float32]

_SIZE: Final = ctypes.c_int64
_POINTER: Final = ctypes.c_void_p


class NativeError(Exception):
    """The library refused its arguments, or had no memory."""


class Library:
    """The functions of the library."""

    def __init__(self, path: Path) -> None:
        """Load a library.

        Raises:
            OSError: it is missing, or for another machine.
            NativeError: it was built from another version of the source.
        """
        library = ctypes.CDLL(str(path))
        interface = library.ocrfleet_interface()
        if interface != INTERFACE:
            raise NativeError(f"{path} has interface {interface}, not {INTERFACE}. Run `make native`")
        self._warp = library.ocrfleet_warp
        self._warp.argtypes = [_POINTER, _SIZE, _SIZE, _POINTER, _POINTER, _SIZE, _POINTER]
        self._noise = library.ocrfleet_noise
        self._noise.argtypes = [_POINTER, _POINTER, _SIZE, ctypes.c_double]
        self._noise.restype = None
        self._planes = library.ocrfleet_planes
        self._planes.argtypes = [_POINTER, _SIZE, _SIZE, _POINTER, _POINTER, _SIZE]
        self._planes.restype = None
        self._border = library.ocrfleet_border
        self._border.argtypes = [_POINTER, _SIZE, ctypes.c_double, *[_SIZE] * 4, _POINTER, _SIZE, _SIZE]

    def warp(self, image: Image, source: Any, target: Any) -> Image:
        """Return what `WarpMLS` makes of an image, of the image's own size.

        Args:
            image: any size.
            source: control points, as pairs of x and y.
            target: where each of them is moved.

        Raises:
            NativeError: fewer than two points, or they are not all finite numbers.
        """
        image = _image(image)
        source, target = (np.ascontiguousarray(points, dtype=np.float64) for points in (source, target))
        if source.shape != target.shape or source.ndim != 2 or source.shape[1] != 2:
            raise NativeError(f"control points have the shapes {source.shape} and {target.shape}")
        height, width, _ = image.shape
        warped = np.empty_like(image)
        count = len(source)
        if self._warp(_at(image), height, width, _at(source), _at(target), count, _at(warped)):
            raise NativeError(f"the warp of {width} × {height} pixels by {count} points is impossible")
        return warped

    def add_noise(self, values: Image, *, deviation: float) -> None:
        """Add half of a normal deviate to each byte, cut as `numpy.uint8` does; draws as `numpy.random.normal` does.

        Raises:
            NativeError: the array is not contiguous bytes that may be written, or the deviation is not small.
        """
        if values.dtype != np.uint8 or not values.flags.c_contiguous or not values.flags.writeable:
            raise NativeError("noise is added to contiguous bytes only")
        if not 0.1 <= deviation <= 0.35:
            raise NativeError(f"the deviation is {deviation}, for which the sign of a draw does not decide alone")
        flat = values.reshape(-1)
        generator: Any = np.random.get_bit_generator()
        # numpy makes two numbers at once and keeps one for the next call. The library makes pairs only, so it begins
        # where none is kept: after the first number if that was kept, else after the second.
        position = _position(generator)
        alone = 0
        if position is None:
            alone = int(np.random.get_state(legacy=False)["has_gauss"])
            _add_some(flat[:alone], deviation)
        elif len(flat):
            _add_some(flat[:1], deviation)
            alone = 1 if _position(generator) == position else 2
            _add_some(flat[1:alone], deviation)
        pairs = max(0, len(flat) - alone) // 2 * 2
        with generator.lock:
            self._noise(generator.ctypes.bit_generator, _at(flat) + alone, pairs, deviation)
        _add_some(flat[alone + pairs :], deviation)

    def planes(self, image: Image, table: Floats, *, width: int) -> Floats:
        """Return three planes of numbers for an image of bytes, padded with 0 on the right up to a width.

        Args:
            image: any size.
            table: the number of each byte, 3 × 256.
            width: of a plane.

        Raises:
            NativeError: a wrong shape, or a width below the image's.
        """
        image = _image(image)
        table = np.ascontiguousarray(table, dtype=np.float32)
        if table.shape != (3, 256) or width < image.shape[1]:
            raise NativeError(f"a table of shape {table.shape} for {image.shape[1]} of {width} columns")
        planes = np.empty((3, image.shape[0], width), np.float32)
        self._planes(_at(image), image.shape[0], image.shape[1], _at(table), _at(planes), width)
        return planes

    def border(
        self,
        canvas: Floats,
        corners: npt.NDArray[np.float64],
        *,
        distance: float,
        left: int,
        top: int,
        width: int,
        height: int,
    ) -> None:
        """Draw the border of a polygon into a map, as `MakeBorderMap.draw_border_map` does.

        Args:
            canvas: the map.
            corners: of the polygon, from the left top corner of its box.
            distance: by which the polygon was padded.
            left: of the padded polygon's box on the canvas.
            top: likewise.
            width: of that box; a part of it is on the canvas.
            height: likewise.

        Raises:
            NativeError: the box is not on the canvas, or a wrong shape.
        """
        corners = np.ascontiguousarray(corners, dtype=np.float64)
        if canvas.dtype != np.float32 or canvas.ndim != 2 or not canvas.flags.c_contiguous:
            raise NativeError("a map is contiguous float32")
        if corners.ndim != 2 or corners.shape[1] != 2:
            raise NativeError(f"corners have the shape {corners.shape}")
        box = (left, top, width, height)
        if self._border(_at(corners), len(corners), distance, *box, _at(canvas), *canvas.shape):
            raise NativeError(f"the border of a polygon in {box} on a map of {canvas.shape} is impossible")


def load(path: Path | None = None) -> tuple[Library | None, str]:
    """Return the library, or None and the reason why it is not used."""
    try:
        return Library(path or PATH), ""
    except (OSError, AttributeError, NativeError) as error:
        return None, str(error)


def _at(array: npt.NDArray[Any]) -> int:
    # Several times as fast as `array.ctypes`.
    address: int = array.__array_interface__["data"][0]
    return address


def _image(image: Image) -> Image:
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or not image.size:
        raise NativeError(f"an image has three channels of bytes, not the shape {image.shape} of {image.dtype}")
    return np.ascontiguousarray(image)


_WORDS: Final = 624
"""Numbers of 32 bits in the state of a Mersenne Twister, which its position in them follows in memory."""


def _position(generator: Any) -> int | None:
    """Return where in its state a Mersenne Twister is, which tells whether a call drew; None for another generator.

    `numpy.random.get_state` tells it too, but copies the whole state.
    """
    if type(generator) is not np.random.MT19937 or not _position_is_known():
        return None
    return _read_position(generator)


@cache
def _position_is_known() -> bool:
    """Whether this numpy has it in the place where it is looked for."""
    generator = np.random.MT19937(1)
    found = []
    for _ in range(3):
        generator.random_raw()
        found.append(_read_position(generator))
    return found == [_WORDS, 1, 2]


def _read_position(generator: Any) -> int:
    return ctypes.c_int32.from_address(generator.ctypes.state_address + 4 * _WORDS).value


def _add_some(values: Image, deviation: float) -> None:
    for index, value in enumerate(values.tolist()):
        values[index] = int(min(max(value + 0.5 * np.random.normal(0, deviation), 0), 255))
