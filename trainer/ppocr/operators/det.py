"""The operators of detectors: pixels and maps are computed by the library, and corners all at once."""

import copy
import math
import random
from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Any, Final

import cv2
import numpy as np
import numpy.typing as npt
import pyclipper

from trainer.ppocr.operators.native import Floats, Library, Table
from trainer.ppocr.operators.rec import Data, is_colour

Points = npt.NDArray[np.float64]

Path = list[list[float]]
"""Corners of a polygon, in its order."""


class IaaAugment:
    """PaddleOCR's IaaAugment: albumentations moves the image, and all corners at once instead of one at a time."""

    def __init__(self, theirs: Any, _: Library) -> None:
        self._theirs = theirs
        self._augmenter = copy.deepcopy(theirs.augmenter)
        for transform in self._augmenter.transforms:
            # Where a transform looks up what moves the corners, of an instance that is ours alone.
            transform._key2func["keypoints"] = _MOVES[type(transform).__name__]

    @staticmethod
    def suits(theirs: Any) -> bool:
        """Whether an operator is configured for what this one does, of the albumentations that it knows."""
        # Imported after PaddleOCR has, which first turns off that it asks the network for a newer version.
        import albumentations

        augmenter = theirs.augmenter
        return (
            albumentations.__version__ == "1.4.10"
            and augmenter is not None
            and augmenter.p == 1
            and all(type(transform).__name__ in _MOVES for transform in augmenter.transforms)
        )

    def __call__(self, data: Data) -> Data:
        """Augment a page and its polygons."""
        polygons = data["polys"]
        if not isinstance(polygons, np.ndarray) or polygons.ndim != 3 or not polygons.size:
            result: Data = self._theirs(data)
            return result
        random.random()  # albumentations' Compose asks whether to do anything
        parts = {"image": data["image"], "keypoints": polygons.reshape(-1, 2)}
        for transform in self._augmenter.transforms:
            parts = transform(**parts)
        data["image"] = np.ascontiguousarray(parts["image"])
        data["polys"] = np.array(parts["keypoints"]).reshape(polygons.shape)
        return data


def _flip(points: Points, *, cols: int, **_: Any) -> Points:
    points = points.astype(np.float64)
    points[:, 0] = cols - 1 - points[:, 0]
    return points


def _turn(points: Points, *, matrix: Any, **_: Any) -> Points:
    if np.allclose(matrix.params, np.eye(3, dtype=np.float32)):
        return points
    turned: Points = cv2.transform(points[:, np.newaxis], matrix.params[:2])[:, 0]
    return turned


def _scale(points: Points, *, scale: float, **_: Any) -> Points:
    return points.astype(np.float64) * scale


_MOVES: Final[Mapping[str, Callable[..., Points]]] = {
    "HorizontalFlip": _flip,
    "Affine": _turn,
    "ImgaugLikeResize": _scale,
}
"""How each of albumentations' transforms moves points, in the precision in which it moves one."""


class EastRandomCropData:
    """PaddleOCR's EastRandomCropData: the same crop, cut out for all polygons at once and resized into its place."""

    def __init__(self, theirs: Any, _: Library) -> None:
        self._theirs = theirs

    @staticmethod
    def suits(theirs: Any) -> bool:
        """Whether an operator is configured for what this one does."""
        return bool(theirs.keep_ratio)

    def __call__(self, data: Data) -> Data:
        """Cut a page at random, not through a polygon."""
        polygons, image = data["polys"], data["image"]
        if not isinstance(polygons, np.ndarray) or polygons.ndim != 3 or not polygons.size or not is_colour(image):
            result: Data = self._theirs(data)
            return result
        ignored = np.asarray(data["ignore_tags"], dtype=bool)
        x, y, width, height = self._choose(polygons[~ignored], *image.shape[1::-1])
        across, down = self._theirs.size
        scale = min(across / width, down / height)
        new_width, new_height = int(width * scale), int(height * scale)
        canvas = np.zeros((down, across, 3), np.uint8)
        canvas[:new_height, :new_width] = cv2.resize(image[y : y + height, x : x + width], (new_width, new_height))
        moved = (polygons - (x, y)) * scale
        least, most = moved.min(axis=1), moved.max(axis=1)
        inside = ~((most < 0) | (least > (new_width, new_height))).any(axis=1)
        data["image"] = canvas
        data["polys"] = moved[inside] if inside.any() else np.array([])
        data["ignore_tags"] = [tag for tag, kept in zip(data["ignore_tags"], inside, strict=True) if kept]
        data["texts"] = [text for text, kept in zip(data["texts"], inside, strict=True) if kept]
        return data

    def _choose(self, polygons: Points, width: int, height: int) -> tuple[int, int, int, int]:
        """PaddleOCR's crop_area: ends of the crop are drawn from the columns and rows without a polygon."""
        rounded = np.round(polygons, decimals=0).astype(np.int32)
        axes = [
            _free(rounded[:, :, axis].min(axis=1), rounded[:, :, axis].max(axis=1), size)
            for axis, size in enumerate((width, height))
        ]
        if not all(len(free) for free in axes):
            return 0, 0, width, height
        regions = [_regions(free) for free in axes]
        least, most = polygons.min(axis=1), polygons.max(axis=1)
        for _ in range(self._theirs.max_tries):
            (left, right), (top, bottom) = (
                _draw_ends(free, parts, size) for free, parts, size in zip(axes, regions, (width, height), strict=True)
            )
            ratio = self._theirs.min_crop_side_ratio
            if right - left < ratio * width or bottom - top < ratio * height:
                continue
            outside = (most < (left, top)) | (least > (right, bottom))
            if not outside.any(axis=1).all():
                return left, top, right - left, bottom - top
        return 0, 0, width, height


def _free(starts: Any, ends: Any, size: int) -> Any:
    """Return the places of an axis that no polygon covers."""
    covered = np.zeros(size, dtype=bool)
    for start, end in zip(starts.tolist(), ends.tolist(), strict=True):
        covered[start:end] = True
    return np.flatnonzero(~covered)


def _regions(free: Any) -> list[Any]:
    """PaddleOCR's split_regions, which leaves out the last region."""
    ends = (np.flatnonzero(np.diff(free) != 1) + 1).tolist()
    return [free[start:end] for start, end in zip([0, *ends], ends, strict=False)]


def _draw_ends(free: Any, regions: list[Any], size: int) -> tuple[int, int]:
    # numpy.random.choice asks randint for the index, and takes three times as long.
    if len(regions) > 1:
        parts = [regions[index] for index in np.random.randint(0, len(regions), size=2).tolist()]
        chosen = [int(part[np.random.randint(0, len(part))]) for part in parts]
        return min(chosen), max(chosen)
    chosen = free[np.random.randint(0, len(free), size=2)].tolist()
    return max(0, min(chosen)), min(max(chosen), size - 1)


class NormalizeImage:
    """PaddleOCR's NormalizeImage for bytes: a table instead of arithmetic."""

    def __init__(self, theirs: Any, library: Library) -> None:
        self._theirs = theirs
        self._library = library
        levels = np.repeat(np.arange(256, dtype=np.uint8), 3).reshape(256, 1, 3)
        self._table = Table(theirs({"image": levels})["image"].reshape(256, 3).T)

    @staticmethod
    def suits(theirs: Any) -> bool:
        """Whether an operator is configured for what this one does."""
        return bool(theirs.mean.shape == (1, 1, 3))

    def __call__(self, data: Data) -> Data:
        """Normalise the pixels of an image."""
        image = data["image"]
        if not isinstance(image, np.ndarray) or not is_colour(image):
            result: Data = self._theirs(data)
            return result
        # In planes already, so that ToCHWImage's view of it lies in memory as a batch does.
        data["image"] = self._library.planes(image, self._table, width=image.shape[1]).transpose(1, 2, 0)
        return data


class MakeBorderMap:
    """PaddleOCR's MakeBorderMap: only pixels near to an edge are computed."""

    def __init__(self, theirs: Any, library: Library) -> None:
        self._theirs = theirs
        self._library = library

    @staticmethod
    def suits(theirs: Any) -> bool:
        """Whether an operator is configured for what this one does."""
        return bool(theirs.thresh_min <= theirs.thresh_max)

    def __call__(self, data: Data) -> Data:
        """Draw the threshold map of a page and its mask."""
        shape = data["image"].shape[:2]
        canvas = np.full(shape, self._theirs.thresh_min, dtype=np.float32)
        mask = np.zeros(shape, dtype=np.float32)
        for polygon, ignored in zip(data["polys"], data["ignore_tags"], strict=True):
            if not ignored:
                self._draw(polygon, canvas, mask)
        data["threshold_map"] = canvas
        data["threshold_mask"] = mask
        return data

    def _draw(self, corners: Any, canvas: Floats, mask: Floats) -> None:
        corners = np.array(corners)
        if corners.ndim != 2 or corners.dtype != np.float64 or len(corners) < 3 or not np.isfinite(corners).all():
            self._draw_theirs(corners, canvas, mask)
            return
        path = corners.tolist()
        area, length = _measure(path)
        if area <= 0:
            return
        distance = area * (1 - np.power(self._theirs.shrink_ratio, 2)) / length
        padding = pyclipper.PyclipperOffset()
        padding.AddPath(path, pyclipper.JT_ROUND, pyclipper.ET_CLOSEDPOLYGON)
        padded = np.array(padding.Execute(distance)[0], dtype=np.int32)
        left, top = padded.min(axis=0).tolist()
        right, bottom = padded.max(axis=0).tolist()
        height, width = canvas.shape
        if right < 0 or bottom < 0 or left >= width or top >= height:
            # PaddleOCR's slices wrap around then.
            self._draw_theirs(corners, canvas, mask)
            return
        cv2.fillPoly(mask, [padded], 1.0)
        self._library.border(
            canvas,
            corners - (left, top),
            distance=float(distance),
            limits=(self._theirs.thresh_min, self._theirs.thresh_max),
            left=left,
            top=top,
            width=right - left + 1,
            height=bottom - top + 1,
        )

    def _draw_theirs(self, corners: Any, canvas: Floats, mask: Floats) -> None:
        theirs = self._theirs
        alone = np.zeros_like(canvas)
        theirs.draw_border_map(corners, alone, mask=mask)
        np.maximum(canvas, alone * (theirs.thresh_max - theirs.thresh_min) + theirs.thresh_min, out=canvas)


class MakeShrinkMap:
    """PaddleOCR's MakeShrinkMap, without a geometry's object for each polygon."""

    def __init__(self, theirs: Any, _: Library) -> None:
        self._theirs = theirs
        ratios = np.arange(theirs.shrink_ratio, 1, theirs.shrink_ratio)
        self._factors = [1 - np.power(ratio, 2) for ratio in ratios]

    def __call__(self, data: Data) -> Data:
        """Draw the map of shrunk polygons and its mask; corners and ignored polygons change in place."""
        polygons, ignored = data["polys"], data["ignore_tags"]
        usable = isinstance(polygons, np.ndarray) and polygons.dtype == np.float64 and polygons.ndim == 3
        if not usable or not len(polygons) or polygons.shape[1] < 3 or not np.isfinite(polygons).all():
            result: Data = self._theirs(data)
            return result
        height, width = data["image"].shape[:2]
        np.clip(polygons, 0, (width - 1, height - 1), out=polygons)
        shrunk_map = np.zeros((height, width), dtype=np.float32)
        mask = np.ones((height, width), dtype=np.float32)
        for index, polygon in enumerate(polygons):
            signed = _signed_area(polygon.tolist())
            if abs(signed) < 1:
                ignored[index] = True
            if signed > 0:
                polygon[:] = polygon[::-1].copy()
            shrunk = [] if ignored[index] or self._is_small(polygon) else self._shrink(polygon.tolist())
            if not shrunk:
                cv2.fillPoly(mask, polygon.astype(np.int32)[np.newaxis], 0)
                ignored[index] = True
            for part in shrunk:
                cv2.fillPoly(shrunk_map, [np.array(part).reshape(-1, 2).astype(np.int32)], 1)
        data["shrink_map"] = shrunk_map
        data["shrink_mask"] = mask
        return data

    def _is_small(self, polygon: Points) -> bool:
        return bool(min(np.ptp(polygon, axis=0).tolist()) < self._theirs.min_text_size)

    def _shrink(self, path: Path) -> list[Any]:
        padding = pyclipper.PyclipperOffset()
        padding.AddPath(path, pyclipper.JT_ROUND, pyclipper.ET_CLOSEDPOLYGON)
        area, length = _measure(path)
        shrunk: list[Any] = []
        for factor in self._factors:
            shrunk = padding.Execute(-(area * factor / length))
            if len(shrunk) == 1:
                break
        return shrunk


def _signed_area(path: Path) -> float:
    """MakeShrinkMap.polygon_area."""
    area = 0.0
    x, y = path[-1]
    for next_x, next_y in path:
        area += next_x * y - next_y * x
        x, y = next_x, next_y
    return area / 2.0


def _measure(path: Path) -> tuple[float, float]:
    """Return area and length of a polygon, in the order in which GEOS, which is behind shapely, adds them up."""
    ring = path if path[0] == path[-1] else [*path, path[0]]
    start = ring[0][0]
    twice = 0.0
    for (_, before), (x, _), (_, after) in zip(ring, ring[1:], ring[2:], strict=False):
        twice += (x - start) * (before - after)
    length = 0.0
    for (x, y), (next_x, next_y) in pairwise(ring):
        dx, dy = x - next_x, y - next_y
        length += math.sqrt(dx * dx + dy * dy)
    return abs(twice / 2.0), length
