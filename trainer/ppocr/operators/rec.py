"""RecAug and RecResizeImg: the draws in Python, as PaddleOCR makes them, and the work compiled."""

import math
import random
from typing import Any, Final

import cv2
import numpy as np
import numpy.typing as npt

from trainer.ppocr.operators.native import Floats, Image, Library

Data = dict[str, Any]
Points = npt.NDArray[np.float64]

NOISE: Final = 0.1**0.5
"""Deviation of PaddleOCR's noise."""

_LEVELS: Final = np.arange(256, dtype=np.uint8)
_ONE_LEVEL_DOWN: Final = np.stack([_LEVELS, _LEVELS, np.maximum(_LEVELS, 1) - 1], axis=-1)[np.newaxis]
"""A table for hue, saturation and value."""


class RecAug:
    """PaddleOCR's RecAug: bends, crops, blurs, and changes the colours of a line of text."""

    def __init__(self, theirs: Any, library: Library) -> None:
        self._theirs = theirs
        self._library = library

    def __call__(self, data: Data) -> Data:
        """Augment a line."""
        image = data["image"]
        if not is_colour(image):
            result: Data = self._theirs(data)
            return result
        if random.random() <= self._theirs.tia_prob and min(image.shape[:2]) >= 20:
            for draw in (_distort, _stretch, _perspective):
                image = self._library.warp(image, *draw(*image.shape[1::-1]))
        data["image"] = self._degrade(image)
        return data

    def _degrade(self, image: Image) -> Image:
        odds = self._theirs.bda
        if random.random() <= odds.crop_prob and min(image.shape[:2]) >= 20:
            rows = min(random.randint(1, 8), len(image) - 1)
            image = image[rows:] if random.randint(0, 1) else image[:-rows]
        if random.random() <= odds.blur_prob:
            image = cv2.sepFilter2D(image, -1, odds.fil, odds.fil)
        if random.random() <= odds.hsv_aug_prob:
            image = _change_brightness(image)
        if random.random() <= odds.jitter_prob:
            image = _jitter(image)
        if random.random() <= odds.noise_prob:
            image = image.copy()
            self._library.add_noise(image, deviation=NOISE)
        if random.random() <= odds.reverse_prob:
            image = ~image  # from 255
        return image


class MultiLabelEncode:
    """PaddleOCR's MultiLabelEncode, which copies the image twice to encode a label."""

    def __init__(self, theirs: Any, _: Library) -> None:
        self._theirs = theirs

    @staticmethod
    def suits(theirs: Any) -> bool:
        """Whether an operator is configured for what this one does."""
        return theirs.gtc_encode_type in (None, "NRTRLabelEncode")

    def __call__(self, data: Data) -> Data | None:
        """Encode a label for CTC and for the guide; None if it is too long or has no known character."""
        ctc, guide = self._theirs.ctc_encode, self._theirs.gtc_encode
        text, guiding = ctc.encode(data["label"]), guide.encode(data["label"])
        if text is None or guiding is None or len(guiding) >= guide.max_text_len - 1:
            return None
        if self._theirs.gtc_encode_type is None:
            name, guiding, rest = "label_sar", [guide.start_idx, *guiding, guide.end_idx], guide.padding_idx
        else:
            name, guiding, rest = "label_gtc", [2, *guiding, 3], 0
        return {
            "img_path": data.get("img_path"),
            "image": data["image"],
            "label_ctc": np.array(text + [0] * (ctc.max_text_len - len(text))),
            name: np.array(guiding + [rest] * (guide.max_text_len - len(guiding))),
            "length": np.array(len(text)),
        }


class RecResizeImg:
    """PaddleOCR's RecResizeImg in training: a line of one height, padded on the right, from -1 to 1."""

    def __init__(self, theirs: Any, library: Library) -> None:
        self._theirs = theirs
        self._library = library
        numbers = np.arange(256, dtype=np.float32) / 255
        numbers -= 0.5
        numbers /= 0.5
        self._table: Floats = np.tile(numbers, (3, 1))

    @property
    def image_shape(self) -> Any:
        """Channels, height and width."""
        return self._theirs.image_shape

    @image_shape.setter
    def image_shape(self, shape: Any) -> None:
        self._theirs.image_shape = shape

    @staticmethod
    def suits(theirs: Any) -> bool:
        """Whether an operator is configured for what this one does."""
        return not theirs.eval_mode and not theirs.infer_mode and theirs.image_shape[0] == 3

    def __call__(self, data: Data) -> Data:
        """Resize a line and normalise its pixels."""
        image = data["image"]
        if not is_colour(image):
            result: Data = self._theirs(data)
            return result
        _, height, most = self.image_shape
        width = most
        if self._theirs.padding:
            width = min(most, math.ceil(height * (image.shape[1] / float(image.shape[0]))))
        resized = cv2.resize(image, (width, height))
        data["image"] = self._library.planes(resized, self._table, width=most)
        data["valid_ratio"] = min(1.0, float(width / most))
        return data


def is_colour(image: Any) -> bool:
    """Whether an image is what the library takes: three channels of bytes."""
    return bool(image.dtype == np.uint8 and image.ndim == 3 and image.shape[2] == 3 and image.size)


def _distort(width: int, height: int) -> tuple[Points, Points]:
    segment = random.randint(3, 6)
    cut = width // segment
    reach = cut // 3
    source = _points(width, height, segment)
    # One call draws what PaddleOCR's calls draw one after the other.
    moves = np.random.randint(reach, size=source.shape)
    target = source.copy()
    target[:4] += _INWARD * moves[:4]
    target[4:] += moves[4:] - reach * 0.5
    return source, target


def _stretch(width: int, height: int) -> tuple[Points, Points]:
    segment = random.randint(3, 6)
    reach = width // segment * 4 // 5
    source = _points(width, height, segment)
    target = source.copy()
    target[4:, 0] += np.repeat(np.random.randint(reach, size=segment - 1) - reach * 0.5, 2)
    return source, target


def _perspective(width: int, height: int) -> tuple[Points, Points]:
    source = _points(width, height, 1)
    target = source.copy()
    target[:, 1] += _INWARD[:, 1] * np.random.randint(height // 2, size=4)
    return source, target


_INWARD: Final = np.array([(1, 1), (-1, 1), (-1, -1), (1, -1)])
"""Which way leads into the image from its corners, clockwise from the left top."""


def _points(width: int, height: int, segment: int) -> Points:
    """Return the corners of an image, and points on its upper and lower edge between them, one above the other."""
    cut = width // segment
    between = [(cut * number, y) for number in range(1, segment) for y in (0, height)]
    return np.array([(0, 0), (width, 0), (width, height), (0, height), *between], dtype=np.float64)


def _change_brightness(image: Image) -> Image:
    """PaddleOCR's hsv_aug: the change is below one level, so that cutting makes it one level down or none."""
    change = 0.001 * random.random() * (1 if random.random() > 0.5000001 else -1)
    hsv = cv2.cvtColor(image, cv2.COLOR_BGR2HSV)
    if 1 + change < 1:
        hsv = cv2.LUT(hsv, _ONE_LEVEL_DOWN)
    changed: Image = cv2.cvtColor(hsv, cv2.COLOR_HSV2BGR)
    return changed


def _jitter(image: Image) -> Image:
    height, width, _ = image.shape
    if height <= 10 or width <= 10:
        return image
    steps = int(random.random() * min(height, width) * 0.01)
    if steps > 1:  # the first step moves nothing
        original, image = image, image.copy()
        for step in range(steps):
            image[step:, step:] = original[: height - step, : width - step]
    return image
