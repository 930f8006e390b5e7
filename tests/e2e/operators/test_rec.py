"""The compiled operators of recognisers give what PaddleOCR's own give, from the same draws."""

import ctypes
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.e2e.operators.comparison import SEEDS, Data, many, picture, same, some
from trainer.ppocr.operators.native import Library, Twister

pytestmark = [pytest.mark.paddle, pytest.mark.filterwarnings("ignore"), pytest.mark.timeout(300)]


@many
@given(SEEDS, st.integers(1, 130), st.integers(1, 420), st.booleans(), st.booleans())
def test_a_line_is_augmented_as_paddleocr_does(
    library: Library, seed: int, height: int, width: int, blocks: bool, kept: bool
) -> None:
    from ppocr.data.imaug.rec_img_aug import RecAug

    from trainer.ppocr.operators import rec

    image = picture(seed, width=width, height=height, blocks=blocks)
    theirs = RecAug(tia_prob=0.8, noise_prob=0.6, jitter_prob=0.6)
    same(theirs, rec.RecAug(theirs, library), {"image": image}, seed=seed, kept=kept)


@pytest.mark.parametrize("side", [300, 1001])
def test_a_large_line_is_shaken_as_paddleocr_does(library: Library, side: int) -> None:
    from ppocr.data.imaug.rec_img_aug import RecAug

    from trainer.ppocr.operators import rec

    theirs = RecAug(0, crop_prob=0, reverse_prob=0, noise_prob=0, jitter_prob=1, blur_prob=0, hsv_aug_prob=0)
    for seed in range(10):
        same(theirs, rec.RecAug(theirs, library), {"image": picture(seed, width=side, height=side)}, seed=seed)


def warp(library: Library, image: Any, *moves: tuple[Any, Any]) -> Any:
    flat = np.array([number for move in moves for points in move for point in points for number in point], float)
    return library.warp(image, (ctypes.c_double * flat.size)(*flat), [len(source) for source, _ in moves])


def twister(library: Library) -> Twister:
    found = library.twister()
    assert found is not None
    return found


@many
@given(st.data(), st.integers(1, 330), st.integers(1, 330))
def test_a_warp_is_paddleocrs(library: Library, data: st.DataObject, height: int, width: int) -> None:
    """Also where points lie on nodes of its grid, the last among them, far outside or on one another."""
    from ppocr.data.imaug.text_image_aug.warp_mls import WarpMLS

    xs = st.one_of(st.sampled_from([0, 100, width - 1, width]), st.integers(-50, width + 50).map(lambda x: x / 2))
    ys = st.one_of(st.sampled_from([0, 100, height - 1, height]), st.integers(-50, height + 50).map(lambda y: y / 2))
    count = data.draw(st.integers(3, 14))
    points = st.lists(st.tuples(xs, ys), min_size=count, max_size=count, unique=True)
    moves = [(data.draw(points), data.draw(points)) for _ in range(data.draw(st.integers(1, 3)))]
    image = expected = picture(width, width=width, height=height)
    for source, target in moves:
        with np.errstate(all="ignore"):
            expected = WarpMLS(expected, source, target, width, height).generate()
    assert np.array_equal(warp(library, image, *moves), expected)


def test_the_last_control_point_is_not_moved_to_its_place(library: Library) -> None:
    """A quirk of PaddleOCR: a hit on any other point is exact."""
    from ppocr.data.imaug.text_image_aug.warp_mls import WarpMLS

    image = picture(1, width=120, height=40)
    source = [(7, 5), (119, 0), (119, 39), (0, 39)]
    target = [(0, 0), (110, 3), (100, 30), (4, 30)]
    first = warp(library, image, (source, target))
    last = warp(library, image, (source[::-1], target[::-1]))
    assert np.array_equal(first[0, 0], image[5, 7])
    assert not np.array_equal(last, first)
    assert np.array_equal(last, WarpMLS(image, source[::-1], target[::-1], 120, 40).generate())


@some
@given(SEEDS, st.integers(1, 60), st.integers(1, 60), st.booleans())
def test_noise_is_paddleocrs(library: Library, seed: int, height: int, width: int, kept: bool) -> None:
    """With numpy's generator afterwards where its own call leaves it, for an odd number of values too."""
    from ppocr.data.imaug.rec_img_aug import add_gasuss_noise

    from trainer.ppocr.operators.rec import NOISE

    def ours(data: Data) -> Data:
        library.add_noise(data["image"], twister(library), deviation=NOISE)
        return data

    def theirs(data: Data) -> Data:
        return {"image": add_gasuss_noise(data["image"])}

    same(theirs, ours, {"image": picture(seed, width=width, height=height)}, seed=seed, kept=kept)


def test_extreme_noise_is_paddleocrs(library: Library) -> None:
    """Draws that are so near to 0, or to the edge of numpy's circle, that their upper halves do not decide."""
    from ppocr.data.imaug.rec_img_aug import add_gasuss_noise

    from trainer.ppocr.operators.rec import NOISE

    image = picture(7, width=1500, height=1400)
    np.random.seed(7)
    expected, state = add_gasuss_noise(image), np.random.get_state()
    np.random.seed(7)
    library.add_noise(image, twister(library), deviation=NOISE)
    assert np.array_equal(image, expected)
    assert np.array_equal(np.random.get_state()[1], state[1])
    assert np.random.get_state()[2:] == state[2:]


@some
@given(SEEDS, st.integers(20, 400), st.integers(20, 120), st.integers(3, 6), st.integers(3, 6))
def test_a_line_is_bent_as_paddleocr_does(
    library: Library, seed: int, width: int, height: int, distort: int, stretch: int
) -> None:
    from ppocr.data.imaug.text_image_aug import tia_distort, tia_perspective, tia_stretch

    def theirs(data: Data) -> Data:
        return {"image": tia_perspective(tia_stretch(tia_distort(data["image"], distort), stretch))}

    def ours(data: Data) -> Data:
        return {"image": library.bend(data["image"], twister(library), distort=distort, stretch=stretch)}

    same(theirs, ours, {"image": picture(seed, width=width, height=height)}, seed=seed)


@some
@given(st.lists(st.one_of(st.integers(0, 3), st.integers(0, 2**70)), min_size=1, max_size=9))
def test_seeds_are_numpys(library: Library, entropy: list[int]) -> None:
    assert list(library.seeds(*entropy)) == np.random.SeedSequence(entropy).generate_state(2).tolist()


def test_a_line_is_augmented_with_another_generator_too(library: Library) -> None:
    from ppocr.data.imaug.rec_img_aug import RecAug

    from trainer.ppocr.operators import rec

    before = np.random.get_bit_generator()
    np.random.set_bit_generator(np.random.PCG64(1))
    try:
        theirs = RecAug(tia_prob=1, noise_prob=1)
        ours = rec.RecAug(theirs, library)({"image": picture(1, width=60, height=30)})
    finally:
        np.random.set_bit_generator(before)
    assert ours["image"].shape[1:] == (60, 3)


@some
@given(SEEDS, st.integers(1, 100), st.integers(1, 700), st.integers(8, 400), st.booleans())
def test_a_line_is_resized_as_paddleocr_does(
    library: Library, seed: int, height: int, width: int, most: int, padding: bool
) -> None:
    from ppocr.data.imaug.rec_img_aug import RecResizeImg

    from trainer.ppocr.operators import rec

    theirs = RecResizeImg([3, 48, most], padding=padding)
    same(theirs, rec.RecResizeImg(theirs, library), {"image": picture(seed, width=width, height=height)}, seed=0)


@pytest.mark.parametrize("guide", [None, "NRTRLabelEncode"])
@pytest.mark.parametrize("label", ["", "1", "0123456789", "12a", "a", "1" * 23, "1" * 24, "1" * 25, "1" * 26])
def test_a_label_is_encoded_as_paddleocr_does(library: Library, tmp_path: Path, label: str, guide: str | None) -> None:
    from ppocr.data.imaug.label_ops import MultiLabelEncode

    from trainer.ppocr.operators import rec

    (tmp_path / "digits.txt").write_text("\n".join("0123456789"))
    theirs = MultiLabelEncode(25, str(tmp_path / "digits.txt"), use_space_char=True, gtc_encode=guide)
    data = {"img_path": "a.png", "image": picture(1, width=3, height=3), "label": label, "ext_data": []}
    same(theirs, rec.MultiLabelEncode(theirs, library), data, seed=0)
