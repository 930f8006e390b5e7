"""The compiled operators give what PaddleOCR's own give, from the same draws."""

import copy
import json
import os
import random
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from trainer import recipes
from trainer.datasets.prepared import Prepared, Sample
from trainer.ppocr import tree
from trainer.ppocr.operators import native
from trainer.ppocr.operators.native import Library, NativeError
from trainer.run import spec as runspec
from trainer.run.spec import RunSpec

pytestmark = [pytest.mark.paddle, pytest.mark.filterwarnings("ignore"), pytest.mark.timeout(300)]

ROOT = Path(__file__).parents[2]
SEEDS = st.integers(0, 2**32 - 1)
Data = dict[str, Any]
Operator = Callable[[Data], Data | None]

many = settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.too_slow])
some = settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.too_slow])


@pytest.fixture(scope="session")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The library of this tree's source, compiled for this test."""
    if not shutil.which(os.environ.get("CC", "cc")):
        pytest.skip("there is no C compiler: install one, or name it in CC. `make setup` then compiles the operators")
    target = tmp_path_factory.mktemp("native") / "liboperators.so"
    subprocess.run([ROOT / "native" / "build", target, "-Werror"], check=True)
    return target


@pytest.fixture(scope="session")
def library(path: Path) -> Library:
    return Library(path)


@pytest.fixture(scope="session", autouse=True)
def paddleocr() -> None:
    tree.on_path()
    import ppocr.data.imaug  # noqa: F401


def same(theirs: Operator, ours: Operator, data: Data, *, seed: int, kept: bool = False) -> None:
    """Both make the same of equal data, and leave numpy's and Python's generators in the same state."""
    results = []
    for operator in (theirs, ours):
        random.seed(seed)
        np.random.seed(seed)
        if kept:
            np.random.normal()
        results.append((operator(copy.deepcopy(data)), random.getstate(), np.random.get_state()))
    (expected, python, numpy), (found, *states) = results
    assert python == states[0]
    assert np.array_equal(numpy[1], states[1][1])
    assert numpy[2:] == states[1][2:]
    if expected is None:
        assert found is None
        return
    assert found is not None
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        if isinstance(value, np.ndarray):
            assert found[name].dtype == value.dtype, name
            assert np.array_equal(found[name], value, equal_nan=True), name
        else:
            assert found[name] == value, name


def picture(seed: int, *, width: int, height: int, blocks: bool = False) -> Any:
    random = np.random.default_rng(seed)
    if blocks:
        small = random.integers(0, 256, (height // 8 + 1, width // 8 + 1, 3), dtype=np.uint8)
        return cv2.resize(small, (width, height))
    return random.integers(0, 256, (height, width, 3), dtype=np.uint8)


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


@many
@given(st.data(), st.integers(1, 330), st.integers(1, 330))
def test_a_warp_is_paddleocrs(library: Library, data: st.DataObject, height: int, width: int) -> None:
    """Also where points lie on nodes of its grid, the last among them, far outside or on one another."""
    from ppocr.data.imaug.text_image_aug.warp_mls import WarpMLS

    xs = st.one_of(st.sampled_from([0, 100, width - 1, width]), st.integers(-50, width + 50).map(lambda x: x / 2))
    ys = st.one_of(st.sampled_from([0, 100, height - 1, height]), st.integers(-50, height + 50).map(lambda y: y / 2))
    count = data.draw(st.integers(3, 14))
    points = st.lists(st.tuples(xs, ys), min_size=count, max_size=count, unique=True)
    source, target = data.draw(points), data.draw(points)
    image = picture(width, width=width, height=height)
    with np.errstate(all="ignore"):
        expected = WarpMLS(image, source, target, width, height).generate()
    assert np.array_equal(library.warp(image, source, target), expected)


def test_the_last_control_point_is_not_moved_to_its_place(library: Library) -> None:
    """A quirk of PaddleOCR: a hit on any other point is exact."""
    from ppocr.data.imaug.text_image_aug.warp_mls import WarpMLS

    image = picture(1, width=120, height=40)
    source = [(7, 5), (119, 0), (119, 39), (0, 39)]
    target = [(0, 0), (110, 3), (100, 30), (4, 30)]
    first = library.warp(image, source, target)
    last = library.warp(image, source[::-1], target[::-1])
    assert np.array_equal(first[0, 0], image[5, 7])
    assert not np.array_equal(last, first)
    assert np.array_equal(last, WarpMLS(image, source[::-1], target[::-1], 120, 40).generate())


@some
@given(SEEDS, st.integers(1, 60), st.integers(1, 60), st.booleans(), st.booleans())
def test_noise_is_paddleocrs(library: Library, seed: int, height: int, width: int, kept: bool, known: bool) -> None:
    """With numpy's generator afterwards where its own call leaves it, for an odd number of values too."""
    from ppocr.data.imaug.rec_img_aug import add_gasuss_noise

    from trainer.ppocr.operators.rec import NOISE

    def ours(data: Data) -> Data:
        library.add_noise(data["image"], deviation=NOISE)
        return data

    def theirs(data: Data) -> Data:
        return {"image": add_gasuss_noise(data["image"])}

    with pytest.MonkeyPatch.context() as patch:
        if not known:  # as with a numpy that has the generator's position elsewhere
            patch.setattr(native, "_position_is_known", lambda: False)
        same(theirs, ours, {"image": picture(seed, width=width, height=height)}, seed=seed, kept=kept)


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


def polygons(seed: int, *, width: int, height: int, whole: bool) -> Any:
    """Quadrilaterals of all directions, of which some overlap, leave the page, or have two equal corners."""
    random = np.random.default_rng(seed)
    count = int(random.integers(0, 9))
    centres = random.uniform((-10, -10), (width + 10, height + 10), (count, 1, 2))
    angles = np.sort(random.uniform(0, 2 * np.pi, (count, 4)))
    found = centres + np.stack([np.cos(angles), np.sin(angles)], axis=-1) * random.uniform(2, 90, (count, 1, 2))
    if whole:
        found = np.round(found)
    if seed % 3 == 0:
        found[:, 2] = found[:, 1] * (1, 0) + found[:, 2] * (0, 1)
        found[:, 3] = found[:, 0] * (1, 0) + found[:, 2] * (0, 1)
        found[:, 1] = found[:, 1] * (1, 0) + found[:, 0] * (0, 1)
    if seed % 5 == 0:
        found[:, 3] = found[:, 2]
    return found


@many
@given(SEEDS, st.integers(8, 300), st.integers(8, 300), st.booleans())
def test_borders_are_drawn_as_paddleocr_does(library: Library, seed: int, height: int, width: int, whole: bool) -> None:
    """Among them edges through the middle of pixels, which PaddleOCR leaves out where a root is not a number."""
    from ppocr.data.imaug.make_border_map import MakeBorderMap

    from trainer.ppocr.operators import det

    theirs = MakeBorderMap()
    shapes = polygons(seed, width=width, height=height, whole=whole)
    data = {"image": np.zeros((height, width, 3), np.uint8), "polys": shapes, "ignore_tags": [False] * len(shapes)}
    try:
        theirs(copy.deepcopy(data))
    except Exception as error:  # noqa: BLE001
        with pytest.raises(type(error)):
            det.MakeBorderMap(theirs, library)(copy.deepcopy(data))
        return
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


def test_only_operators_with_the_known_source_are_replaced(
    library: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ppocr.data.imaug import make_border_map
    from ppocr.data.imaug.make_border_map import MakeBorderMap

    from trainer.ppocr.operators import replacements

    class Own(MakeBorderMap):  # type: ignore[misc]
        pass

    own, theirs = Own(), MakeBorderMap()
    assert replacements.names(replacements.replace([own, theirs], library)) == ["MakeBorderMap"]
    assert replacements.replace([own, theirs], None) == [own, theirs]
    source = Path(make_border_map.__file__).read_text("utf-8")
    changed = tmp_path / "make_border_map.py"
    monkeypatch.setattr(make_border_map, "__file__", str(changed))
    changed.write_text(f"import os\n{source}\ndef added(): pass\n", "utf-8")
    assert replacements.replace([theirs], library) != [theirs]
    replacements._sources.cache_clear()
    changed.write_text(source.replace("square_sin = 1 -", "square_sin = 1.0 -"), "utf-8")
    assert replacements.replace([theirs], library) == [theirs]
    replacements._sources.cache_clear()


def configuration(recipe: str, folder: Path) -> Any:
    (folder / "dictionary.txt").write_text("".join(f"{digit}\n" for digit in range(10)), "utf-8")
    prepared = Prepared(root=folder, task="rec", digest="", counts={}, max_text_length=25, refused=())
    raw = {"task": recipe[:3], "recipe": recipe, "data": {"train": "s3://a/b"}, "output": "s3://a/c/"}
    return recipes.resolve(runspec.from_dict(RunSpec, raw, where="run"), prepared).config


@pytest.mark.parametrize(
    ("recipe", "names"),
    [
        ("det-pp-ocrv3-student", "IaaAugment, EastRandomCropData, MakeBorderMap, MakeShrinkMap, NormalizeImage"),
        ("det-pp-ocrv5-mobile", "IaaAugment, EastRandomCropData, MakeBorderMap, MakeShrinkMap, NormalizeImage"),
        ("rec-pp-ocrv3", "RecAug, MultiLabelEncode, RecResizeImg"),
        ("rec-pp-ocrv5-mobile", "RecAug, MultiLabelEncode, RecResizeImg"),
    ],
)
def test_a_run_reads_the_same_samples_with_the_library_and_without(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, recipe: str, names: str
) -> None:
    from trainer.ppocr.data import TrainingSet

    config = configuration(recipe, tmp_path)
    height, width = (48, 200) if recipe.startswith("rec") else (300, 400)
    boxes = [{"transcription": "12", "points": [[9, y], [190, y], [190, y + 30], [9, y + 30]]} for y in (8, 60, 150)]
    label = "123456" if recipe.startswith("rec") else json.dumps(boxes)
    samples = []
    for number in range(4):
        image = tmp_path / f"{number}.png"
        cv2.imwrite(str(image), picture(number, width=width, height=height, blocks=True))
        samples.append(Sample(image=image, label=label, source=image.name, width=width, height=height))
    monkeypatch.setattr(native, "PATH", path)
    compiled = TrainingSet(samples, config, seed=1)
    monkeypatch.setattr(native, "PATH", tmp_path / "none.so")
    plain = TrainingSet(samples, config, seed=1)
    assert compiled.reading == f"compiled operators ({names})"
    assert plain.reading.startswith("PaddleOCR's own operators, which are slower")
    for index in range(12):
        refused, expected = plain[(index, index % 4, 0)]
        found = compiled[(index, index % 4, 0)]
        assert found[0] == refused == {}
        assert all(np.array_equal(a, b) for a, b in zip(expected, found[1], strict=True))


@pytest.mark.parametrize(
    "image", [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3), np.float32), np.zeros((0, 4, 3), np.uint8)]
)
def test_what_is_no_colour_image_never_reaches_the_library(library: Library, image: Any) -> None:
    table = np.zeros((3, 256), np.float32)
    with pytest.raises(NativeError):
        library.warp(image, [(0, 0), (1, 1)], [(0, 0), (1, 1)])
    with pytest.raises(NativeError):
        library.planes(image, table, width=9)


def test_wrong_sizes_and_numbers_are_refused(library: Library) -> None:
    image, table = np.zeros((4, 4, 3), np.uint8), np.zeros((3, 256), np.float32)
    corners, box = np.zeros((4, 2)), {"left": 0, "top": 0, "width": 2, "height": 2}
    for call in (
        lambda: library.warp(image, [(0, 0)], [(0, 0)]),
        lambda: library.warp(image, [(0, 0), (1, 1)], [(0, 0)]),
        lambda: library.warp(image, [(0, 0), (float("nan"), 1)], [(0, 0), (1, 1)]),
        lambda: library.planes(image, table, width=3),
        lambda: library.planes(image, table[:, :255], width=4),
        lambda: library.add_noise(image[:, ::2], deviation=0.3),
        lambda: library.add_noise(image, deviation=3.0),
        lambda: library.border(np.zeros((4, 4)), corners, distance=1.0, **box),
        lambda: library.border(np.zeros((4, 4), np.float32), corners, distance=float("nan"), **box),
        lambda: library.border(np.zeros((4, 4), np.float32), corners, distance=1.0, **{**box, "left": 9}),
    ):
        with pytest.raises(NativeError):
            call()


def test_a_library_that_is_missing_or_of_another_source_is_not_used(path: Path, tmp_path: Path) -> None:
    assert native.load(tmp_path / "none.so")[0] is None
    (tmp_path / "text.so").write_text("no library")
    assert native.load(tmp_path / "text.so")[0] is None
    other = tmp_path / "other"
    shutil.copytree(ROOT / "native", other)
    source = (other / "operators.c").read_text("utf-8")
    (other / "operators.c").write_text(source.replace(f"#define INTERFACE {native.INTERFACE}", "#define INTERFACE 0"))
    subprocess.run([other / "build", tmp_path / "old.so"], check=True)
    found, why = native.load(tmp_path / "old.so")
    assert found is None
    assert "Run `make native`" in why
    assert native.load(path)[1] == ""
