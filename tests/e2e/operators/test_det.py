"""The operators of detectors give what PaddleOCR's own give, from the same draws."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.e2e.operators.comparison import SEEDS, many, picture, polygons, same, some
from trainer.ppocr.operators.native import Library

pytestmark = [pytest.mark.paddle, pytest.mark.filterwarnings("ignore"), pytest.mark.timeout(300)]


@some
@given(SEEDS, st.integers(1, 50), st.integers(1, 50), st.sampled_from([np.uint8, np.float32]))
def test_pixels_are_normalised_as_paddleocr_does(
    library: Library, seed: int, height: int, width: int, kind: Any
) -> None:
    from ppocr.data.imaug.operators import NormalizeImage

    from trainer.ppocr.operators import det

    theirs = NormalizeImage(scale="1./255.", mean=[0.485, 0.456, 0.406], std=[0.229, 0.224, 0.225], order="hwc")
    image = picture(seed, width=width, height=height).astype(kind)
    same(theirs, det.NormalizeImage(theirs, library), {"image": image}, seed=0)


@many
@given(SEEDS, st.integers(8, 300), st.integers(8, 300), st.booleans())
def test_borders_are_drawn_as_paddleocr_does(library: Library, seed: int, height: int, width: int, whole: bool) -> None:
    """Among them edges through the middle of pixels, which PaddleOCR leaves out where a root is not a number."""
    from ppocr.data.imaug.make_border_map import MakeBorderMap

    from trainer.ppocr.operators import det

    theirs = MakeBorderMap()
    shapes = polygons(seed, width=width, height=height, whole=whole)
    data = {"image": np.zeros((height, width, 3), np.uint8), "polys": shapes, "ignore_tags": [False] * len(shapes)}
    same(theirs, det.MakeBorderMap(theirs, library), data, seed=0)


@many
@given(SEEDS, st.integers(8, 300), st.integers(8, 300), st.booleans())
def test_a_page_is_cropped_as_paddleocr_does(library: Library, seed: int, height: int, width: int, whole: bool) -> None:
    from ppocr.data.imaug.random_crop_data import EastRandomCropData

    from trainer.ppocr.operators import det

    theirs = EastRandomCropData(size=(96, 64), max_tries=1 + seed % 20)
    shapes = polygons(seed, width=width, height=height, whole=whole).clip(0, None)
    ignored = np.random.default_rng(seed).random(len(shapes)) < 0.2
    data = {
        "image": picture(seed, width=width, height=height),
        "polys": shapes,
        "ignore_tags": ignored,
        "texts": [str(number) for number in range(len(shapes))],
    }
    same(theirs, det.EastRandomCropData(theirs, library), data, seed=seed)


@many
@given(SEEDS, st.integers(8, 300), st.integers(8, 300), st.booleans())
def test_polygons_are_shrunk_as_paddleocr_does(
    library: Library, seed: int, height: int, width: int, whole: bool
) -> None:
    """And the same corners and ignored polygons are left for later operators."""
    from ppocr.data.imaug.make_shrink_map import MakeShrinkMap

    from trainer.ppocr.operators import det

    theirs = MakeShrinkMap()
    shapes = polygons(seed, width=width, height=height, whole=whole)
    ignored = (np.random.default_rng(seed).random(len(shapes)) < 0.2).tolist()
    data = {"image": np.zeros((height, width, 3), np.uint8), "polys": shapes, "ignore_tags": ignored}
    same(theirs, det.MakeShrinkMap(theirs, library), data, seed=0)


@many
@given(SEEDS, st.integers(8, 400), st.integers(8, 400), st.booleans(), st.integers(4, 6))
def test_texts_are_pasted_as_paddleocr_does(
    library: Library, seed: int, height: int, width: int, limit: bool, corners: int
) -> None:
    """Where there is room and where there is none, some of them all ignored, upright or without pixels."""
    from ppocr.data.imaug.copy_paste import CopyPaste

    from trainer.ppocr.operators import copy_paste

    theirs = CopyPaste(objects_paste_ratio=0.8, limit_paste=limit)
    ours = copy_paste.CopyPaste(theirs, library)
    random = np.random.default_rng(seed)

    def page(seed: int, corners: int) -> dict[str, Any]:
        shapes = polygons(seed, width=width, height=height, whole=bool(seed % 2)).astype(np.float32)
        shapes = np.concatenate([shapes, shapes[:, [3] * (corners - 4)]], axis=1)
        return {
            "image": picture(seed, width=width, height=height, blocks=bool(seed % 3)),
            "polys": shapes,
            "texts": [str(number) for number in range(len(shapes))],
            "ignore_tags": random.random(len(shapes)) < 0.3,
        }

    data = {**page(seed, corners), "ext_data": [page(seed // 2, 4)]}
    same(*(lambda data, side=side: {**side(data), "ext_data": None} for side in (theirs, ours)), data, seed=seed)


@many
@given(
    st.lists(st.lists(st.tuples(*[st.integers(0, 9)] * 2), min_size=4, max_size=4), min_size=1, max_size=3), st.data()
)
def test_a_place_is_free_where_paddleocr_finds_no_polygon(shapes: Any, data: st.DataObject) -> None:
    """Polygons that only touch it are in it."""
    from ppocr.data.imaug.random_crop_data import is_poly_outside_rect

    from trainer.ppocr.operators.copy_paste import _Taken

    left, top, right, bottom, x, y = (data.draw(st.integers(0, 6)) for _ in range(6))
    least, most = np.array([left, top], np.float32), np.array([left + right, top + bottom], np.float32)
    free = all(is_poly_outside_rect(shape, left + x, top + y, right, bottom) for shape in shapes)
    taken = _Taken(shapes[:1])
    for shape in shapes[1:]:
        taken.add(shape)
    assert taken.is_free(least, most, x, y) == free


@some
@given(st.lists(st.tuples(st.floats(-500, 1500), st.floats(-500, 1500)), min_size=3, max_size=9))
def test_area_and_length_are_shapelys(corners: list[tuple[float, float]]) -> None:
    from shapely.geometry import Polygon

    from trainer.ppocr.operators import det

    polygon = Polygon(corners)
    assert det._measure([list(corner) for corner in corners]) == (polygon.area, polygon.length)


@pytest.mark.parametrize(
    "arguments",
    [
        None,
        [{"type": "Fliplr", "args": {"p": 0.5}}, {"type": "Affine", "args": {"rotate": [-10, 10]}}],
        [
            {"type": "Affine", "args": {"p": 0.5, "rotate": [-45, 45], "fit_output": True}},
            {"type": "Resize", "args": {"size": [0.1, 2]}},
        ],
    ],
    ids=["default", "without resizing", "PP-OCRv6"],
)
def test_a_page_and_its_boxes_are_moved_as_paddleocr_does(library: Library, arguments: Any) -> None:
    from ppocr.data.imaug.iaa_augment import IaaAugment

    from trainer.ppocr.operators import det

    theirs = IaaAugment(arguments)
    ours = det.IaaAugment(theirs, library)
    assert det.IaaAugment.suits(theirs)
    for seed in range(30):
        width, height = np.random.default_rng(seed).integers(10, 200, 2).tolist()
        shapes = polygons(seed, width=width, height=height, whole=False).astype([np.float32, np.float64][seed % 2])
        if len(shapes):
            same(theirs, ours, {"image": picture(seed, width=width, height=height), "polys": shapes}, seed=seed)


def test_an_augmentation_of_albumentations_that_is_not_known_is_left_to_paddleocr() -> None:
    from ppocr.data.imaug.iaa_augment import IaaAugment

    from trainer.ppocr.operators import det

    assert not det.IaaAugment.suits(IaaAugment([{"type": "Flipud", "args": {"p": 0.5}}]))
