"""RecAug and RecResizeImg: the draws in Python, as PaddleOCR makes them, and the work compiled."""

import math
import random
from typing import Any, Final

import cv2
import numpy as np

from trainer.ppocr.operators.native import Image, Library, Table, Twister

Data = dict[str, Any]

NOISE: Final = 0.1**0.5
"""Deviation of PaddleOCR's noise."""

MOST_PIXELS: Final = 2**22
"""Larger images are no lines; each pixel takes 64 bytes while the library bends it."""

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
        image, twister = data["image"], self._library.twister()
        if twister is None or not is_colour(image) or image.size > 3 * MOST_PIXELS:
            result: Data = self._theirs(data)
            return result
        if random.random() <= self._theirs.tia_prob and min(image.shape[:2]) >= 20:
            image = self._library.bend(image, twister, distort=random.randint(3, 6), stretch=random.randint(3, 6))
        data["image"] = self._degrade(image, twister)
        return data

    def _degrade(self, image: Image, twister: Twister) -> Image:
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
            self._library.add_noise(image, twister, deviation=NOISE)
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
        self._table = Table(np.tile(numbers, (3, 1)))

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
