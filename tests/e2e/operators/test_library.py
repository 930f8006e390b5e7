"""When compiled operators are used, what they refuse, and that a run reads the same samples with and without them."""

import ctypes
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from tests.e2e.operators.comparison import configuration, picture
from trainer.datasets.prepared import Sample
from trainer.ppocr.operators import native
from trainer.ppocr.operators.native import Library, NativeError, Table

ROOT = Path(__file__).parents[3]

pytestmark = [pytest.mark.paddle, pytest.mark.filterwarnings("ignore"), pytest.mark.timeout(300)]


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


@pytest.mark.parametrize(
    ("recipe", "names"),
    [
        ("det-pp-ocrv3-student", "IaaAugment, EastRandomCropData, MakeBorderMap, MakeShrinkMap, NormalizeImage"),
        (
            "det-pp-ocrv5-mobile",
            "CopyPaste, IaaAugment, EastRandomCropData, MakeBorderMap, MakeShrinkMap, NormalizeImage",
        ),
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
    with pytest.raises(NativeError):
        library.warp(image, (ctypes.c_double * 8)(0, 0, 1, 1, 0, 0, 1, 1), [2])
    with pytest.raises(NativeError):
        library.planes(image, Table(np.zeros((3, 256))), width=9)


def test_wrong_sizes_and_numbers_are_refused(library: Library) -> None:
    image, table = np.zeros((4, 4, 3), np.uint8), Table(np.zeros((3, 256)))
    points, twister = (ctypes.c_double * 8)(0, 0, 1, 1, 0, 0, 1, 1), library.twister()
    assert twister is not None
    corners, box = np.zeros((4, 2)), {"limits": (0.3, 0.7), "left": 0, "top": 0, "width": 2, "height": 2}
    for call in (
        lambda: library.warp(image, points, [1]),
        lambda: library.warp(image, points, [3]),
        lambda: library.warp(image, points, [2, 2]),
        lambda: library.warp(image, points, []),
        lambda: library.warp(image, (ctypes.c_double * 8)(0, 0, 1, float("nan"), 0, 0, 1, 1), [2]),
        lambda: library.bend(image, twister, distort=3, stretch=3),
        lambda: library.bend(np.zeros((40, 40, 3), np.uint8), twister, distort=30, stretch=3),
        lambda: library.bend(np.zeros((40, 40, 3), np.uint8), twister, distort=0, stretch=3),
        lambda: library.planes(image, table, width=3),
        lambda: Table(np.zeros((3, 255))),
        lambda: library.add_noise(image[:, ::2], twister, deviation=0.3),
        lambda: library.add_noise(image, twister, deviation=3.0),
        lambda: library.border(np.zeros((4, 4)), corners, distance=1.0, **box),
        lambda: library.border(np.zeros((4, 4), np.float32), corners, distance=float("nan"), **box),
        lambda: library.border(np.zeros((4, 4), np.float32), corners, distance=1.0, **{**box, "left": 9}),
        lambda: library.border(np.zeros((4, 4), np.float32), corners, distance=1.0, **{**box, "limits": (1, 0)}),
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
