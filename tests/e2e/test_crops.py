"""Lines are cut out of pages as PaddleOCR's own pipeline cuts them."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from examples.demo import pages
from trainer.datasets import images


@pytest.mark.paddle
@pytest.mark.filterwarnings("default")  # paddlex brings libraries that warn when they are imported
def test_lines_are_cut_out_as_paddleocrs_own_pipeline_does_bit_for_bit(tmp_path: Path) -> None:
    """What a recogniser is trained on is what users of the export feed it."""
    from paddlex.inference.pipelines.components import CropByPolys

    theirs = CropByPolys(det_box_type="quad")
    generator = np.random.default_rng(7)
    pages.write_export(tmp_path / "pages", pages=3, seed=1)
    rows = (tmp_path / "pages" / "Label.txt").read_text("utf-8").splitlines()
    assert len(rows) == 3
    for row in rows:
        name, label = row.split("\t")
        page = cv2.imread(str(tmp_path / name))
        upright = np.array([item["points"] for item in json.loads(label)])
        # The pages' own boxes are upright; these are not.
        height, width = page.shape[:2]
        slanted = np.clip(upright + generator.integers(-6, 7, upright.shape), 0, [width - 1, height - 1])
        for box in (*upright, *slanted):
            assert np.array_equal(images.crop(page, box.tolist()), theirs(page, [box])[0])
