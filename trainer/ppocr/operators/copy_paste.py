"""CopyPaste: texts of another page are pasted where there is none, without a copy of the page in Pillow for each."""

import random
import sys
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import PIL.Image

from trainer.ppocr.operators.native import Image, Library
from trainer.ppocr.operators.rec import Data, is_colour


class CopyPaste:
    """PaddleOCR's CopyPaste: the same texts at the same places, which are looked for among the bounds of polygons."""

    def __init__(self, theirs: Any, _: Library) -> None:
        self._theirs = theirs
        self.ext_data_num: int = theirs.ext_data_num
        # As its module has them: PaddleOCR's own functions.
        module = sys.modules[type(theirs).__module__]
        self._crop: Any = module.get_rotate_crop_image
        self._turn: Any = module.rotate_bbox

    def __call__(self, data: Data) -> Data:
        """Paste texts into a page."""
        other = data["ext_data"][0]
        if not is_colour(data["image"]) or not is_colour(other["image"]) or not len(data["polys"]):
            result: Data = self._theirs(data)
            return result
        corners = data["polys"].shape[1]
        polygons, texts, ignored = data["polys"].tolist(), data["texts"], data["ignore_tags"].tolist()
        page = data["image"].copy()
        height, width = page.shape[:2]
        taken = _Taken(polygons)
        for index, polygon in self._select(other):
            text, box, x, y = self._place(self._crop(other["image"], polygon), taken, width, height)
            if text is None:
                continue
            rows, columns = text.shape[:2]
            cv2.copyTo(text[:, :, :3], text[:, :, 3], page[y : y + rows, x : x + columns])
            path = box.tolist()
            path += [path[-1]] * (corners - len(path))
            polygons.append(path)
            taken.add(path)
            texts.append(other["texts"][index])
            ignored.append(other["ignore_tags"][index])
        moved = np.array(polygons)
        np.clip(moved, 0, (width, height), out=moved)
        data["image"] = page
        data["polys"] = moved
        data["texts"] = texts
        data["ignore_tags"] = np.array(ignored)
        return data

    def _select(self, other: Data) -> list[tuple[int, Any]]:
        """Draw texts of a page: their places in its lists, and their corners."""
        readable = [index for index, ignored in enumerate(other["ignore_tags"]) if not ignored]
        count = max(1, min(int(self._theirs.objects_paste_ratio * len(other["polys"])), 30))
        random.shuffle(readable)
        return [(index, other["polys"][index]) for index in readable[:count]]

    def _place(self, text: Image, taken: "_Taken", width: int, height: int) -> tuple[Any, Any, int, int]:
        """Turn a text and draw its place: its pixels with their opacity, corners, and left top; None if it has none."""
        angle = np.random.randint(0, 360)
        rows, columns = text.shape[:2]
        flat = np.array([[[0, 0], [columns, 0], [columns, rows], [0, rows]]])
        box = self._turn(text, flat, angle)[0]
        # Blue and red change places in both, so that they need not be swapped.
        turned = np.asarray(PIL.Image.fromarray(text).convert("RGBA").rotate(angle, expand=1))
        right, bottom = width - turned.shape[1], height - turned.shape[0]
        if right < 0 or bottom < 0:
            return None, None, 0, 0
        least, most = box.min(axis=0), box.max(axis=0)
        for _ in range(50 if self._theirs.limit_paste else 1):
            x, y = random.randint(0, right), random.randint(0, bottom)
            if not self._theirs.limit_paste or taken.is_free(least, most, x, y):
                box[:, 0] += x
                box[:, 1] += y
                return turned, box, x, y
        return None, None, 0, 0


class _Taken:
    """Bounds of the polygons of a page."""

    def __init__(self, polygons: list[Any]) -> None:
        points = np.array(polygons, dtype=np.float64)
        self._bounds = np.concatenate([-points.max(axis=1), points.min(axis=1)], axis=1)

    def add(self, path: list[Any]) -> None:
        points = np.array([path], dtype=np.float64)
        self._bounds = np.concatenate([self._bounds, np.concatenate([-points.max(axis=1), points.min(axis=1)], axis=1)])

    def is_free(self, least: npt.NDArray[np.float32], most: npt.NDArray[np.float32], x: int, y: int) -> bool:
        """Whether no polygon is in a box that is moved, as is_poly_outside_rect rounds it."""
        left, top, right, bottom = least[0] + x, least[1] + y, most[0] + x, most[1] + y
        limits = (-left, -top, left + (right - left), top + (bottom - top))
        return bool((self._bounds > limits).any(axis=1).all())
