"""NormalizeImage and MakeBorderMap: what PaddleOCR computes for each pixel with whole arrays of doubles, compiled."""

import copy
import random
from collections.abc import Callable, Mapping
from typing import Any, Final

import cv2
import numpy as np
import pyclipper
from shapely.geometry import Polygon

from trainer.ppocr.operators.native import Floats, Library
from trainer.ppocr.operators.rec import Data, Points, is_colour


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


class NormalizeImage:
    """PaddleOCR's NormalizeImage for bytes: a table instead of arithmetic."""

    def __init__(self, theirs: Any, library: Library) -> None:
        self._theirs = theirs
        self._library = library
        levels = np.repeat(np.arange(256, dtype=np.uint8), 3).reshape(256, 1, 3)
        self._table: Floats = theirs({"image": levels})["image"].reshape(256, 3).T

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

    def __call__(self, data: Data) -> Data:
        """Draw the threshold map of a page and its mask."""
        theirs = self._theirs
        canvas = np.zeros(data["image"].shape[:2], dtype=np.float32)
        mask = np.zeros_like(canvas)
        for polygon, ignored in zip(data["polys"], data["ignore_tags"], strict=True):
            if not ignored:
                self._draw(polygon, canvas, mask)
        canvas *= theirs.thresh_max - theirs.thresh_min
        canvas += theirs.thresh_min
        data["threshold_map"] = canvas
        data["threshold_mask"] = mask
        return data

    def _draw(self, corners: Any, canvas: Floats, mask: Floats) -> None:
        theirs = self._theirs
        corners = np.array(corners)
        if corners.ndim != 2 or corners.dtype != np.float64:
            theirs.draw_border_map(corners, canvas, mask=mask)
            return
        polygon = Polygon(corners)
        area = polygon.area
        if area <= 0:
            return
        distance = area * (1 - np.power(theirs.shrink_ratio, 2)) / polygon.length
        padding = pyclipper.PyclipperOffset()
        padding.AddPath(corners.tolist(), pyclipper.JT_ROUND, pyclipper.ET_CLOSEDPOLYGON)
        padded = np.array(padding.Execute(distance)[0])
        left, top = padded.min(axis=0).tolist()
        right, bottom = padded.max(axis=0).tolist()
        height, width = canvas.shape
        if right < 0 or bottom < 0 or left >= width or top >= height:
            # PaddleOCR's slices wrap around then.
            theirs.draw_border_map(corners, canvas, mask=mask)
            return
        cv2.fillPoly(mask, [padded.astype(np.int32)], 1.0)
        self._library.border(
            canvas,
            corners - (left, top),
            distance=float(distance),
            left=left,
            top=top,
            width=right - left + 1,
            height=bottom - top + 1,
        )
