"""PaddleOCR's way from a map to boxes, with the arithmetic of paddleocr 3.x where the two differ."""

from typing import Any

import cv2
import numpy as np

from trainer.ppocr import tree
from trainer.ppocr.settings import DetSettings


def post_process(how: DetSettings) -> Any:
    """Make PaddleOCR's DBPostProcess, whose boxes are within a pixel of paddleocr 3.x's."""
    tree.on_path()
    import pyclipper
    from ppocr.postprocess.db_postprocess import DBPostProcess

    class Boxes(DBPostProcess):  # type: ignore[misc]
        def unclip(self, box: Any, unclip_ratio: float) -> list[Any]:
            """Grow a box; the distance in OpenCV's numbers, as paddleocr 3.x has it.

            PaddleOCR takes it from shapely. The last digit differs, grown corners are whole pixels of the map, and
            so a box may come out two pixels of the page apart (seen: 1 of 31 boxes of an enlarged page).
            """
            corners = np.asarray(box, np.float32)
            grown = pyclipper.PyclipperOffset()
            grown.AddPath(box, pyclipper.JT_ROUND, pyclipper.ET_CLOSEDPOLYGON)
            distance = cv2.contourArea(corners) * unclip_ratio / cv2.arcLength(corners, True)
            return list(grown.Execute(distance)[:1])

    return Boxes(
        thresh=how.thresh,
        box_thresh=how.box_thresh,
        max_candidates=how.max_candidates,
        unclip_ratio=how.unclip_ratio,
        use_dilation=how.use_dilation,
        score_mode=how.score_mode,
    )
