"""Batches by width: what may be set, and what becomes of PaddleOCR's own samplers in a whole configuration."""

import copy
from typing import Any

import pytest

from trainer import recipes
from trainer.errors import SpecError
from trainer.run.spec import RunSpec, from_dict

SAMPLER = {"name": "WidthSampler", "max_w": 1280, "divided_factor": 32}
MULTI_SCALE = {
    "name": "MultiScaleSampler",
    "scales": [[320, 32], [320, 48], [320, 64]],
    "first_bs": 96,
    "fix_bs": False,
    "divided_factor": [8, 16],
    "is_training": True,
}


def run(name: str = "", *, config: dict[str, Any] | None = None, overrides: dict[str, Any] | None = None) -> RunSpec:
    chosen = {"config": config} if config else {"recipe": name}
    task = config["Architecture"]["model_type"] if config else name[:3]
    raw = {"task": task, "data": {"train": "s3://a/b"}, "output": "s3://a/c/", "overrides": overrides or {}, **chosen}
    return from_dict(RunSpec, raw, where="run")


@pytest.fixture
def published() -> dict[str, Any]:
    """A configuration as PaddleOCR has it for PP-OCRv5_mobile_rec: Train resizes in its dataset."""
    config = copy.deepcopy(recipes.load("rec-pp-ocrv5-mobile").config)
    config["Train"]["dataset"] |= {"name": "MultiScaleDataSet", "ds_width": False}
    train = config["Train"]["dataset"]["transforms"]
    config["Train"]["dataset"]["transforms"] = [operator for operator in train if "RecResizeImg" not in operator]
    config["Train"]["sampler"] = dict(MULTI_SCALE)
    return config


def test_a_multi_scale_sampler_becomes_batches_by_width(published: dict[str, Any]) -> None:
    before = copy.deepcopy(published)
    recipe = recipes.resolve(run(config=published))
    train = recipe.config["Train"]
    assert train["dataset"]["name"] == "SimpleDataSet"
    assert "ds_width" not in train["dataset"]
    assert train["sampler"] == SAMPLER
    assert train["loader"]["batch_size_per_card"] == 96
    assert train["dataset"]["transforms"][-2:] == [
        {"RecResizeImg": {"image_shape": [3, 48, 320]}},
        {"KeepKeys": {"keep_keys": ["image", "label_ctc", "label_gtc", "length", "valid_ratio"]}},
    ]
    (note,) = [note for note in recipe.notes if "ampler" in note]
    assert "MultiScaleSampler in run.config is replaced by WidthSampler" in note
    assert "at the height of Eval (48)" in note
    assert published == before


def test_a_size_that_train_has_is_kept(published: dict[str, Any]) -> None:
    transforms = published["Train"]["dataset"]["transforms"]
    transforms.insert(1, {"RecResizeImg": {"image_shape": [3, 48, 160]}})
    assert recipes.resolve(run(config=published)).config["Train"]["dataset"]["transforms"] == transforms


def test_a_configuration_without_a_sampler_keeps_one_width() -> None:
    config = copy.deepcopy(recipes.load("rec-crnn-mobile").config)
    del config["Train"]["sampler"]
    recipe = recipes.resolve(run(config=config))
    assert "sampler" not in recipe.config["Train"]
    assert not [note for note in recipe.notes if "ampler" in note]


def test_null_means_one_width() -> None:
    assert "sampler" not in recipes.resolve(run("rec-pp-ocrv3", overrides={"Train.sampler": None})).config["Train"]


def test_what_a_sampler_leaves_out_is_filled_in(published: dict[str, Any]) -> None:
    narrow = run("rec-crnn-mobile", overrides={"Train.sampler.max_w": 320})
    assert recipes.resolve(narrow).config["Train"]["sampler"] == SAMPLER | {"max_w": 320}
    bare = run(config=published, overrides={"Train.sampler": {"name": "WidthSampler"}})
    assert recipes.resolve(bare).config["Train"]["sampler"] == SAMPLER


@pytest.mark.parametrize(
    ("name", "overrides", "message"),
    [
        (
            "rec-crnn-mobile",
            {"Train.sampler.max_w": 32},
            r"max_w of recipe rec-crnn-mobile is 32, but the minimum .* 64",
        ),
        ("rec-crnn-mobile", {"Train.sampler.max_w": 0}, "'Train.sampler.max_w' is 0: write 1 or more"),
        ("rec-crnn-mobile", {"Train.sampler.divided_factor": [8, 16]}, "write a whole number"),
        (
            "rec-crnn-mobile",
            {"Train.sampler.name": "RatioSampler"},
            "'RatioSampler', which the trainer does not support",
        ),
        ("det-db-mobile", {"Train.sampler.max_w": 640}, "is not a key .* To set it, override Train.sampler as a whole"),
        ("det-db-mobile", {"Train.sampler": {"name": "WidthSampler"}}, "which only recognisers use"),
    ],
)
def test_a_sampler_that_cannot_be_is_refused(name: str, overrides: dict[str, Any], message: str) -> None:
    with pytest.raises(SpecError, match=message):
        recipes.resolve(run(name, overrides=overrides))


def test_batches_by_width_need_a_least_width(published: dict[str, Any]) -> None:
    published["Train"]["dataset"]["name"] = "SimpleDataSet"
    published["Train"]["sampler"] = {"name": "WidthSampler"}
    with pytest.raises(SpecError, match=r"of run.config needs RecResizeImg in Train.dataset.transforms"):
        recipes.resolve(run(config=published))


def test_another_sampler_of_a_whole_configuration_is_refused(published: dict[str, Any]) -> None:
    published["Train"]["dataset"]["name"] = "RatioDataSet"
    published["Train"]["sampler"] = {"name": "RatioSampler"}
    with pytest.raises(SpecError, match=r"Train.sampler.name of run.config is 'RatioSampler'"):
        recipes.resolve(run(config=published))
