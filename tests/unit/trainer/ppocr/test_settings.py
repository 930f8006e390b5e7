"""How a configuration says that a model reads: the one reading for training, export and users."""

import copy
from pathlib import Path
from typing import Any

import pytest

from trainer import recipes
from trainer.errors import SpecError
from trainer.ppocr.settings import DetSettings, RecSettings, det_settings, parse, rec_settings
from trainer.run.spec import RunSpec, from_dict


def config_of(recipe: str) -> dict[str, Any]:
    raw = {"task": recipe[:3], "recipe": recipe, "data": {"train": "s3://d/"}, "output": "s3://m/"}
    return copy.deepcopy(dict(recipes.resolve(from_dict(RunSpec, raw, where="run"), world_size=1).config))


def transform(config: dict[str, Any], name: str) -> dict[str, Any]:
    return next(each for each in config["Eval"]["dataset"]["transforms"] if name in each)


def test_keys_that_are_left_out_have_paddleocrs_own_defaults() -> None:
    config = config_of("det-db-mobile")
    config["PostProcess"] = {"name": "DBPostProcess", "thresh": None}
    for name in ("DetResizeForTest", "NormalizeImage"):
        transform(config, name)[name] = None
    transform(config, "DecodeImage")["DecodeImage"] = {"img_mode": "BGR"}
    assert det_settings(config) == DetSettings()


def test_what_a_detectors_configuration_says_is_taken() -> None:
    config = config_of("det-db-mobile")
    config["PostProcess"] |= {"thresh": 0.2, "box_thresh": 0.45, "unclip_ratio": 1.3, "use_dilation": True}
    transform(config, "DetResizeForTest")["DetResizeForTest"] = {"image_shape": [64, 128], "keep_ratio": True}
    transform(config, "NormalizeImage")["NormalizeImage"] = {"scale": "1./255.", "mean": [0, 0, 0], "std": [1, 1, 1]}
    found = det_settings(config)
    assert (found.thresh, found.box_thresh, found.unclip_ratio, found.use_dilation) == (0.2, 0.45, 1.3, True)
    assert (found.image_shape, found.keep_ratio) == ((64, 128), True)
    assert (found.scale, found.mean, found.std) == (pytest.approx(1 / 255), (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))


@pytest.mark.parametrize("scale", ["1/0", "a", "1/b"])
def test_a_scale_that_is_no_number_is_refused(scale: str) -> None:
    config = config_of("det-db-mobile")
    transform(config, "NormalizeImage")["NormalizeImage"] = {"scale": scale}
    with pytest.raises(SpecError, match=r"NormalizeImage\.scale is '"):
        det_settings(config)


@pytest.mark.parametrize("recipe", ["det-db-mobile", "rec-crnn-mobile"])
def test_a_transform_that_users_need_is_missed_by_name(recipe: str) -> None:
    config = config_of(recipe)
    config["Eval"]["dataset"]["transforms"].remove(transform(config, "DecodeImage"))
    with pytest.raises(SpecError, match="has no DecodeImage"):
        (det_settings if recipe.startswith("det") else rec_settings)(config)


def test_what_a_recognisers_configuration_says_is_taken() -> None:
    config = config_of("rec-crnn-mobile")
    config["Global"]["use_space_char"] = True
    transform(config, "RecResizeImg")["RecResizeImg"]["image_shape"] = [3, 48, 320]
    transform(config, "DecodeImage")["DecodeImage"]["img_mode"] = "RGB"
    assert rec_settings(config) == RecSettings(img_mode="RGB", image_shape=(3, 48, 320), use_space_char=True)


@pytest.mark.parametrize("text", ["[]", "a: 1", "PreProcess: {}"])
def test_a_file_that_is_no_inference_yml_is_refused_by_its_place(tmp_path: Path, text: str) -> None:
    path = tmp_path / "inference.yml"
    path.write_text(text, "utf-8")
    with pytest.raises(SpecError, match=r"inference\.yml' lacks PreProcess or PostProcess"):
        parse(path)
    path.write_text("PreProcess: {}\nPostProcess: {}\n", "utf-8")
    assert parse(path) == {"PreProcess": {}, "PostProcess": {}}
