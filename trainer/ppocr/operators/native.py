"""The shared library of native/operators.c: types, shapes and sizes are checked here, before any pointer is passed.

It is optional. `make native` and the image's build compile it; without it PaddleOCR's own operators are used.
"""

import ctypes
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

PATH: Final = Path(__file__).with_name("liboperators.so")

INTERFACE: Final = 2
"""`INTERFACE` of native/operators.c: a library of another one is not used."""

Image = npt.NDArray[np.uint8]
"""Height × width × three channels."""
Floats = npt.NDArray[np.float32]

_SIZE: Final = ctypes.c_int64
_POINTER: Final = ctypes.c_void_p
_WORDS: Final = 624
"""Numbers of 32 bits in the state of a Mersenne Twister, which its position in them follows in memory."""

_Points = ctypes.c_double * 256
_Seeds = ctypes.c_uint32 * 2


class NativeError(Exception):
    """The library refused its arguments, or had no memory."""


class Twister:
    """numpy's legacy generator, of which `numpy.random.normal` and the like draw."""

    def __init__(self, generator: Any) -> None:
        """Look up where its state is.

        Args:
            generator: a `numpy.random.MT19937`, which stays the owner of its state.
        """
        self.generator = generator
        self.lock = generator.lock
        self.address: int = generator.ctypes.state_address
        self._position = ctypes.c_int32.from_address(self.address + 4 * _WORDS)

    @property
    def position(self) -> int:
        """Where in its state it is: whether a call drew, without `numpy.random.get_state`, which copies all of it."""
        return self._position.value


class Table:
    """The number of each byte of each of three channels."""

    def __init__(self, numbers: Any) -> None:
        """Keep the numbers.

        Args:
            numbers: 3 × 256.

        Raises:
            NativeError: a wrong shape.
        """
        self._numbers = np.array(numbers, dtype=np.float32, order="C")
        if self._numbers.shape != (3, 256):
            raise NativeError(f"a table has the shape {self._numbers.shape}")
        self.address = _at(self._numbers)


class Library:
    """The functions of the library."""

    def __init__(self, path: Path) -> None:
        """Load a library.

        Raises:
            OSError: it is missing, or for another machine.
            NativeError: it was built from another version of the source, or numpy's generator is not as it expects.
        """
        library = ctypes.CDLL(str(path))
        interface = library.ocrfleet_interface()
        if interface != INTERFACE:
            raise NativeError(f"{path} has interface {interface}, not {INTERFACE}. Run `make native`")
        self._bends = library.ocrfleet_bends
        self._bends.argtypes = [_POINTER, *[_SIZE] * 4, _POINTER]
        self._warp = library.ocrfleet_warp
        self._warp.argtypes = [_POINTER, _SIZE, _SIZE, _POINTER, _POINTER, _SIZE, _POINTER]
        self._noise = library.ocrfleet_noise
        self._noise.argtypes = [_POINTER, _POINTER, _SIZE, ctypes.c_double]
        self._noise.restype = None
        self._seeds = library.ocrfleet_seeds
        self._seeds.argtypes = [_POINTER, _SIZE, _POINTER, _SIZE]
        self._seeds.restype = None
        self._planes = library.ocrfleet_planes
        self._planes.argtypes = [_POINTER, _SIZE, _SIZE, _POINTER, _POINTER, _SIZE]
        self._planes.restype = None
        self._border = library.ocrfleet_border
        self._border.argtypes = [_POINTER, _SIZE, ctypes.c_double, ctypes.c_float, ctypes.c_float, *[_SIZE] * 4]
        self._border.argtypes += [_POINTER, _SIZE, _SIZE]
        self._twister: Twister | None = None
        library.ocrfleet_words.argtypes = [_POINTER, _POINTER, _SIZE]
        if not _draws_as_numpy(library.ocrfleet_words):
            raise NativeError("numpy's generator has another state than the library expects")

    def twister(self) -> Twister | None:
        """Return numpy's legacy generator; None if it is no Mersenne Twister."""
        generator = np.random.get_bit_generator()
        if self._twister is None or self._twister.generator is not generator:
            self._twister = Twister(generator) if type(generator) is np.random.MT19937 else None
        return self._twister

    def seeds(self, *entropy: int) -> tuple[int, int]:
        """Return `numpy.random.SeedSequence(entropy).generate_state(2)`.

        Args:
            entropy: none is negative.
        """
        # Larger ones count as several.
        words = [number >> shift & 0xFFFFFFFF for number in entropy for shift in range(0, number.bit_length() or 1, 32)]
        found = _Seeds()
        self._seeds((ctypes.c_uint32 * len(words))(*words), len(words), found, 2)
        return found[0], found[1]

    def bend(self, image: Image, twister: Twister, *, distort: int, stretch: int) -> Image:
        """Return what `tia_distort`, `tia_stretch` and `tia_perspective` make of an image, one after the other.

        Args:
            image: at least 20 pixels wide and high.
            twister: what they draw from.
            distort: segments of the first.
            stretch: segments of the second.

        Raises:
            NativeError: the image is too small, or there are too many segments.
        """
        height, width, _ = image.shape
        counts = (2 * distort + 2, 2 * stretch + 2, 4)
        points = _Points()
        if 4 * sum(counts) > len(points):
            raise NativeError(f"{distort} and {stretch} segments are too many")
        with twister.lock:
            if self._bends(twister.address, width, height, distort, stretch, points):
                raise NativeError(f"{width} × {height} pixels are too few for {distort} and {stretch} segments")
        return self.warp(image, points, counts)

    def warp(self, image: Image, points: "ctypes.Array[ctypes.c_double]", counts: Sequence[int]) -> Image:
        """Return what `WarpMLS` makes of an image, of the image's own size, once or several times.

        Args:
            image: any size.
            points: for each time x and y of the control points, then x and y of where each is moved.
            counts: how many control points each time has.

        Raises:
            NativeError: fewer than two points, or they are not all finite numbers.
        """
        image = _image(image)
        if not counts or min(counts) < 2 or 4 * sum(counts) > len(points):
            raise NativeError(f"{len(points)} numbers for {list(counts)} control points")
        height, width, _ = image.shape
        warped = np.empty_like(image)
        times = len(counts)
        counted = (ctypes.c_int64 * times)(*counts)
        if self._warp(_at(image), height, width, points, counted, times, _at(warped)):
            raise NativeError(f"the warp of {width} × {height} pixels by {list(counts)} points is impossible")
        return warped

    def add_noise(self, values: Image, twister: Twister, *, deviation: float) -> None:
        """Add half of a normal deviate to each byte, cut as `numpy.uint8` does; draws as `numpy.random.normal` does.

        Args:
            values: changed in place.
            twister: the generator of `numpy.random.normal`.
            deviation: of the noise.

        Raises:
            NativeError: the array is not contiguous bytes that may be written, or the deviation is not small.
        """
        if values.dtype != np.uint8 or not values.flags.c_contiguous or not values.flags.writeable:
            raise NativeError("noise is added to contiguous bytes only")
        if not 0.1 <= deviation <= 0.35:
            raise NativeError(f"the deviation is {deviation}, for which the sign of a draw does not decide alone")
        flat = values.reshape(-1)
        # numpy makes two numbers at once and keeps one for the next call. The library makes pairs only, so it begins
        # where none is kept: after the first number if that was kept, else after the second.
        alone = 0
        if len(flat):
            position = twister.position
            _add_some(flat[:1], deviation)
            alone = 1 if twister.position == position else 2
            _add_some(flat[1:alone], deviation)
        pairs = max(0, len(flat) - alone) // 2 * 2
        with twister.lock:
            self._noise(twister.address, _at(flat) + alone, pairs, deviation)
        _add_some(flat[alone + pairs :], deviation)

    def planes(self, image: Image, table: Table, *, width: int) -> Floats:
        """Return three planes of numbers for an image of bytes, padded with 0 on the right up to a width.

        Args:
            image: any size.
            table: the numbers.
            width: of a plane.

        Raises:
            NativeError: a wrong shape, or a width below the image's.
        """
        image = _image(image)
        rows, columns, _ = image.shape
        if width < columns:
            raise NativeError(f"{columns} columns do not fit into {width}")
        planes = np.empty((3, rows, width), np.float32)
        self._planes(_at(image), rows, columns, table.address, _at(planes), width)
        return planes

    def border(
        self,
        canvas: Floats,
        corners: npt.NDArray[np.float64],
        *,
        distance: float,
        limits: tuple[float, float],
        left: int,
        top: int,
        width: int,
        height: int,
    ) -> None:
        """Draw the border of a polygon into a map, as `MakeBorderMap` does.

        Args:
            canvas: the map.
            corners: of the polygon, from the left top corner of its box.
            distance: by which the polygon was padded.
            limits: what the map is far from an edge, and on one.
            left: of the padded polygon's box on the canvas.
            top: likewise.
            width: of that box; a part of it is on the canvas.
            height: likewise.

        Raises:
            NativeError: the box is not on the canvas, a wrong shape, or limits in the wrong order.
        """
        least, most = limits
        corners = np.ascontiguousarray(corners, dtype=np.float64)
        if canvas.dtype != np.float32 or canvas.ndim != 2 or not canvas.flags.c_contiguous:
            raise NativeError("a map is contiguous float32")
        if corners.ndim != 2 or corners.shape[1] != 2:
            raise NativeError(f"corners have the shape {corners.shape}")
        if not least <= most:
            raise NativeError(f"a map from {least} to {most}")
        box = (left, top, width, height)
        if self._border(_at(corners), len(corners), distance, least, most - least, *box, _at(canvas), *canvas.shape):
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


def _draws_as_numpy(words: Any) -> bool:
    """Whether the library draws from this numpy's generator as that does itself, across the end of its state too."""
    mine, numpys = np.random.MT19937(1), np.random.MT19937(1)
    found = np.empty(_WORDS + 6, np.uint32)
    words(Twister(mine).address, _at(found), len(found))
    return bool((found == numpys.random_raw(len(found))).all() and mine.random_raw() == numpys.random_raw())


def _add_some(values: Image, deviation: float) -> None:
    for index, value in enumerate(values.tolist()):
        values[index] = int(min(max(value + 0.5 * np.random.normal(0, deviation), 0), 255))
