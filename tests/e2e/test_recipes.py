"""Every recipe that the packaged tree can build: one training step, an export, and the same outputs from both."""

import copy
import json
import random
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from trainer import recipes
from trainer.datasets.prepared import Prepared
from trainer.recipes import distill, overlays
from trainer.run import spec as runspec
from trainer.run.spec import RunSpec

# Importing paddle itself warns, of a compiler cache that nobody needs here.
pytestmark = [pytest.mark.paddle, pytest.mark.timeout(240), pytest.mark.filterwarnings("ignore")]

PACKAGED = [name for name in recipes.names() if recipes.load(name).requires is None]
TRAINED = ("Architecture", "Loss", "PostProcess", "Train", "Eval")


def network(name: str) -> str:
    """What a recipe trains and how it reads, without its schedule."""
    config = copy.deepcopy(recipes.load(name).config)
    config["Train"].pop("loader")
    return json.dumps([config[part] for part in TRAINED])


DIFFERENT = sorted({network(name): name for name in reversed(PACKAGED)}.values())
"""One recipe for each network: what holds of it holds of those that differ in epochs and rates alone."""

SMALLEST = ("det-db-mobile", "rec-pp-ocrv3")


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    root = tmp_path_factory.mktemp("prepared")
    (root / "dictionary.txt").write_text("".join(f"{digit}\n" for digit in range(10)), "utf-8")
    return Prepared(root=root, task="rec", digest="", counts={}, max_text_length=6, refused=())


@pytest.fixture(scope="module")
def image() -> np.ndarray:
    """A line of six digits on a small page."""
    page = np.full((64, 256, 3), 255, np.uint8)
    cv2.putText(page, "123456", (20, 45), cv2.FONT_HERSHEY_SIMPLEX, 1, (0, 0, 0), 2)
    return page


def resolved(name: str, prepared: Prepared) -> recipes.Recipe:
    raw = {"task": name[:3], "recipe": name, "data": {"train": "s3://a/b"}, "output": "s3://a/c/"}
    if name.startswith("det"):
        raw["overrides"] = {
            "Train.dataset.transforms.EastRandomCropData.size": [96, 96],
        }
    if name == "det-pp-ocrv3-cml":
        raw["distill"] = {"randomTeacher": True}
    return recipes.resolve(runspec.from_dict(RunSpec, raw, where="run"), prepared)


def sample(config: dict[str, Any], image: np.ndarray) -> list[np.ndarray]:
    """Read the page with the recipe's own transforms for training."""
    from ppocr.data.imaug import create_operators, transform

    points = [[20, 10], [140, 10], [140, 55], [20, 55]]
    boxes = [{"transcription": "123456", "points": points, "difficult": False}]
    label = json.dumps(boxes) if config["Architecture"]["model_type"] == "det" else "123456"
    steps = create_operators(copy.deepcopy(config["Train"]["dataset"]["transforms"]), dict(config["Global"]))

    def fresh() -> dict[str, Any]:
        return {"image": cv2.imencode(".png", image)[1].tobytes(), "label": label}

    pasted = [transform(fresh(), steps[:2])] if "CopyPaste" in str(config["Train"]["dataset"]["transforms"]) else []
    read = transform(fresh() | {"ext_data": pasted}, steps)
    assert read is not None, "a transform dropped the longest label"
    return [np.asarray(part) for part in read]


@pytest.mark.parametrize(
    "name", [name if name in SMALLEST else pytest.param(name, marks=pytest.mark.slow) for name in DIFFERENT]
)
def test_a_recipe_trains_and_its_export_reads_as_the_trained_model(
    name: str, prepared: Prepared, image: np.ndarray, tmp_path: Path
) -> None:
    import paddle

    from trainer.ppocr import build, export, infer, state, tree

    tree.on_path()
    for seed in (paddle.seed, np.random.seed, random.seed):
        seed(1)
    recipe = resolved(name, prepared)
    config = recipe.config
    model, loss = build.build_model(config), build.build_loss(config)
    optimizer, schedule = build.build_optimizer(config, model, steps_per_epoch=2)
    schedule.step()  # a warm-up begins with a rate of 0
    batch = [paddle.to_tensor(np.stack(pair)) for pair in zip(*[sample(config, image)] * 2, strict=True)]
    before = {name: value.numpy().copy() for name, value in model.named_parameters() if not value.stop_gradient}
    model.train()
    output = model(batch[0], data=batch[1:]) if build.wants_labels(config) else model(batch[0])
    total = loss(output, batch)["loss"].mean()
    total.backward()
    optimizer.step()
    assert np.isfinite(float(total))
    moved = [
        name for name, value in model.named_parameters() if name in before and (value.numpy() != before[name]).any()
    ]
    assert len(moved) > 0.9 * len(before)
    if distill.is_distillation(config):
        # What is exported of it is one network.
        one = distill.learners(config)[0]
        model, config = model.of(one), distill.plain(config, one)

    # Statistics as many steps would leave them, of something that a network has to look at everywhere.
    noise = np.random.default_rng(1).normal(0, 1, batch[0].shape).astype(np.float32)
    for layer in model.sublayers():
        if hasattr(layer, "_momentum"):
            layer._momentum = 0.0
    with paddle.no_grad():
        model(paddle.to_tensor(noise), data=batch[1:])

    weights, inference = tmp_path / "model.safetensors", tmp_path / "inference"
    state.write_weights(state.weights(model), weights)
    wanted = infer.layer_forward(model)(noise)
    export.export(config, weights, inference, recipe.model_name)
    assert np.abs(infer.predictor_forward(inference)(noise) - wanted).max() <= recipe.tolerance
    assert infer.exported_config(inference)["Global"]["model_name"] == recipe.model_name
    if recipe.task == "rec":
        assert wanted.shape == (2, noise.shape[3] // overlays.overlay(name).column_width, 12)


@pytest.mark.parametrize("width", [320, 640])
def test_a_longer_line_has_more_places_in_training_too(width: int, prepared: Prepared) -> None:
    """PaddleOCR's own forward pass makes 40 columns of every line while it trains, and others when it reads."""
    import paddle

    from trainer.ppocr import build

    config = resolved("rec-pp-ocrv5-mobile", prepared).config
    config["Architecture"]["Backbone"]["scale"] = 0.25
    backbone = build.build_model(config).backbone
    backbone.train()
    lines = paddle.ones([1, 3, 48, width])
    normal = next(layer for layer in backbone.sublayers() if type(layer).__name__ == "BatchNorm2D")
    before = normal._mean.numpy().copy()
    assert backbone(lines).shape[2:] == [1, width // 8]
    assert np.abs(normal._mean.numpy() - before).max() > 0, "BatchNorm trains on"
    backbone.eval()
    assert backbone(lines).shape[2:] == [1, width // 8]
