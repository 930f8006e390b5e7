"""Boxes from a detector's map."""

import numpy as np
import pytest

from trainer.ppocr.boxes import post_process
from trainer.ppocr.settings import DetSettings


@pytest.mark.paddle
@pytest.mark.filterwarnings("ignore")
def test_a_box_grows_by_its_area_over_its_outline_and_faint_ones_are_dropped() -> None:
    """40 × 20 at a ratio of 1.5: 10 pixels on each side."""
    found = np.zeros((100, 200), np.float32)
    found[40:60, 60:100] = 0.9
    found[40:60, 140:180] = 0.5
    boxes = post_process(DetSettings(unclip_ratio=1.5, box_thresh=0.7))
    shapes = np.array([[100, 200, 1.0, 1.0]], np.float32)
    (page,) = boxes({"maps": _Map(found[None, None])}, shapes)
    (points,) = page["points"]
    left, top = np.min(points, axis=0)
    right, bottom = np.max(points, axis=0)
    assert (left, top, right, bottom) == pytest.approx((50, 30, 109, 69), abs=2)


class _Map:
    """What the post-processing asks of a tensor."""

    def __init__(self, values: np.ndarray) -> None:
        self.values = values

    def numpy(self) -> np.ndarray:
        return self.values

    def __getitem__(self, place: object) -> np.ndarray:
        return self.values[place]
