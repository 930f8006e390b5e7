"""Losses of distillations against PaddleOCR's own, on the same outputs: equal, but for the stated differences."""

import copy
from typing import Any

import cv2
import numpy as np
import pytest

from trainer import recipes
from trainer.recipes import distill

pytestmark = [pytest.mark.paddle, pytest.mark.timeout(120), pytest.mark.filterwarnings("ignore")]


@pytest.fixture(scope="module")
def paddle() -> Any:
    import paddle

    from trainer.ppocr import tree

    tree.on_path()
    paddle.seed(7)
    return paddle


def theirs(config: dict[str, Any], predictions: Any, batch: Any) -> dict[str, float]:
    from ppocr.losses import build_loss

    found = build_loss(copy.deepcopy(config["Loss"]))(predictions, batch)
    return {name: float(value.mean()) for name, value in found.items()}


def ours(config: dict[str, Any], predictions: Any, batch: Any) -> dict[str, float]:
    from trainer.ppocr.losses import build_loss

    return {name: float(value) for name, value in build_loss(copy.deepcopy(config))(predictions, batch).items()}


def maps(paddle: Any, channels: int = 3) -> Any:
    return {"maps": paddle.nn.functional.sigmoid(paddle.randn([2, channels, 32, 40]) * 2)}


def page_batch(paddle: Any) -> list[Any]:
    image = paddle.randn([2, 3, 32, 40])
    labels = [(paddle.randn([2, 32, 40]) > 0).astype("float32") for _ in range(4)]
    return [image, *labels]


def test_a_teacher_and_two_detectors(paddle: Any) -> None:
    config = recipes.load("det-pp-ocrv3-cml").config
    predictions = {name: maps(paddle, 1 if name == "Teacher" else 3) for name in distill.networks(config)}
    batch = page_batch(paddle)
    mine, other = ours(config, predictions, batch), theirs(config, predictions, batch)
    for student in ("Student", "Student2"):
        name = f"dila_db_{student}_Teacher"
        assert mine[name] == pytest.approx(other[f"dila_dbloss_{student}_Teacher"], rel=1e-5)
        whole = sum(value for name, value in other.items() if name.startswith(f"db_{student}_"))
        assert mine[f"db_{student}"] == pytest.approx(whole, rel=1e-5)
    # The mean of theirs, which has the batch's shape.
    assert mine["dml_Student_Student2"] == pytest.approx(other["dml_thrink_maps_0"], rel=1e-5)
    assert mine["loss"] == pytest.approx(sum(value for name, value in mine.items() if name != "loss"), rel=1e-5)


def test_two_recognisers(paddle: Any) -> None:
    config = copy.deepcopy(recipes.load("rec-pp-ocrv3-distill").config)
    for item in config["Loss"]["loss_config_list"]:
        if "DistillationSARLoss" in item:
            item["DistillationSARLoss"]["ignore_index"] = 13
    heads = {
        name: {
            "backbone_out": paddle.randn([2, 8, 1, 20]),
            "head_out": {"ctc": paddle.randn([2, 20, 12]), "sar": paddle.randn([2, 8, 14])},
        }
        for name in distill.networks(config)
    }
    labels = np.array([[1, 2, 3, 0, 0, 0, 0, 0], [4, 5, 0, 0, 0, 0, 0, 0]], "int64")
    lengths = paddle.to_tensor(np.array([3, 2], "int64"))
    batch = [paddle.randn([2, 3, 48, 160]), paddle.to_tensor(labels), paddle.to_tensor(labels), lengths, lengths]
    mine, other = ours(config, heads, batch), theirs(config, heads, batch)
    assert mine["loss"] == pytest.approx(other["loss"], rel=1e-5)
    assert mine["dml_ctc_Student_Teacher"] == pytest.approx(other["dml_ctc_0"], rel=1e-5)
    assert mine["dml_sar_Student_Teacher"] == pytest.approx(other["dml_sar_0"], rel=1e-5)


def test_settings_act(paddle: Any) -> None:
    """PaddleOCR's losses for distilled detectors take alpha, and go on with 5."""
    config = copy.deepcopy(recipes.load("det-pp-ocrv3-dml").config)
    predictions, batch = {name: maps(paddle) for name in distill.networks(config)}, page_batch(paddle)
    before, before_theirs = ours(config, predictions, batch), theirs(config, predictions, batch)
    config["Loss"]["loss_config_list"][1]["DistillationDBLoss"]["alpha"] = 50
    assert ours(config, predictions, batch)["db_Student"] > 2 * before["db_Student"]
    assert theirs(config, predictions, batch) == before_theirs


def test_text_grows_as_opencv_lets_it(paddle: Any) -> None:
    from trainer.ppocr.losses import dilate

    text = np.random.default_rng(3).random((2, 17, 23)) > 0.8
    wanted = [cv2.dilate(page.astype(np.uint8), np.ones((2, 2), np.uint8)) for page in text]
    assert (dilate(paddle.to_tensor(text)).numpy() == np.stack(wanted)).all()
