"""How a configuration says that a model reads: the one reading for training, export and users."""

import copy
import re
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.trainer.recipes.test_form import places
from trainer import recipes
from trainer.errors import SpecError
from trainer.formats.yaml import to_yaml
from trainer.ppocr import infer
from trainer.ppocr.settings import DetSettings, RecSettings, det_settings, parse, rec_settings, require
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


@pytest.mark.parametrize(
    ("recipe", "change", "says"),
    [
        ("det-db-mobile", {"name": "EASTPostProcess"}, "'EASTPostProcess', which paddleocr 3.x does not have"),
        ("det-db-mobile", {"box_type": "poly"}, "PostProcess.box_type is 'poly'"),
        ("rec-crnn-mobile", {"name": "SARLabelDecode"}, "Use CTCLabelDecode, with the head CTCHead."),
    ],
)
def test_what_users_could_not_read_with_is_refused_by_its_configuration_alone(
    recipe: str, change: dict[str, Any], says: str
) -> None:
    config = config_of(recipe)
    require(config)
    config["PostProcess"] |= change
    with pytest.raises(SpecError, match=re.escape(says)):
        require(config)


def test_what_a_detectors_configuration_says_is_taken() -> None:
    config = config_of("det-db-mobile")
    config["PostProcess"] |= {"thresh": 0.2, "box_thresh": 0.45, "unclip_ratio": 1.3, "use_dilation": True}
    transform(config, "DetResizeForTest")["DetResizeForTest"] = {"image_shape": [64, 128], "keep_ratio": True}
    transform(config, "NormalizeImage")["NormalizeImage"] = {"scale": "1./255.", "mean": [0, 0, 0], "std": [1, 1, 1]}
    found = det_settings(config)
    assert (found.thresh, found.box_thresh, found.unclip_ratio, found.use_dilation) == (0.2, 0.45, 1.3, True)
    assert (found.image_shape, found.keep_ratio) == ((64, 128), True)
    assert found.scale == pytest.approx(1 / 255)
    assert (found.mean, found.std) == ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0))


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


EXPORTS: dict[str, dict[str, Any]] = {
    "det": {
        "Global": {"model_name": "PP-OCRv3_mobile_det"},
        "PreProcess": {
            "transform_ops": [
                {"DecodeImage": {"img_mode": "BGR"}},
                {"DetLabelEncode": None},
                {"DetResizeForTest": {"limit_side_len": 960, "limit_type": "max"}},
                {"NormalizeImage": {"scale": "1./255.", "mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}},
            ]
        },
        "PostProcess": {"name": "DBPostProcess", "thresh": 0.3, "max_candidates": 1000, "score_mode": "fast"},
    },
    "rec": {
        "Global": {"model_name": "PP-OCRv3_mobile_rec"},
        "PreProcess": {
            "transform_ops": [{"DecodeImage": {"img_mode": "BGR"}}, {"RecResizeImg": {"image_shape": [3, 48, 320]}}]
        },
        "PostProcess": {"name": "CTCLabelDecode", "character_dict": ["0", "1"]},
    },
}
JUNK: st.SearchStrategy[Any] = st.sampled_from([None, 7, -1.5, True, "abc", [], {}, [1], {"a": 1}, [[]], [{}], [None]])


@settings(max_examples=400, deadline=None)
@given(st.data())
def test_an_export_of_another_form_is_read_or_refused_and_no_other_error(data: st.DataObject) -> None:
    task = data.draw(st.sampled_from(sorted(EXPORTS)))
    config = copy.deepcopy(EXPORTS[task])
    *steps, last = data.draw(st.sampled_from(list(places(config))))
    node: Any = config
    for step in steps:
        node = node[step]
    node[last] = data.draw(JUNK)
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "inference.yml").write_text(to_yaml(config), "utf-8")
        with suppress(SpecError):
            read = infer.exported_config(Path(folder))
            (det_settings if task == "det" else rec_settings)(read)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (
            b"PreProcess: {transform_ops: 7}\nPostProcess: {}\n",
            "A part of '{}' has another form than PaddleOCR's: Expected `array`, got `int` - at "
            "`$.PreProcess.transform_ops`.",
        ),
        (b"\xff", "'{}' is not UTF-8 text, so it is not the inference.yml of an OCR model."),
    ],
)
def test_an_inference_yml_that_cannot_be_read_is_refused(tmp_path: Path, content: bytes, sentence: str) -> None:
    path = tmp_path / "inference.yml"
    path.write_bytes(content)
    with pytest.raises(SpecError) as refused:
        parse(path)
    assert str(refused.value) == sentence.format(path)


def test_a_setting_of_another_type_is_refused_by_its_name() -> None:
    config = config_of("det-db-mobile")
    config["PostProcess"]["thresh"] = "high"
    with pytest.raises(SpecError, match=r"Expected `float`, got `str` - at `\$\.thresh`"):
        det_settings(config)


def test_a_setting_that_nothing_can_be_divided_by_is_refused() -> None:
    config = config_of("det-db-mobile")
    transform(config, "NormalizeImage")["NormalizeImage"] = {"std": [1, 0, 1]}
    with pytest.raises(SpecError, match=r"Expected `float` > 0\.0 - at `\$\.std"):
        det_settings(config)
