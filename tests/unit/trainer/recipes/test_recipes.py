"""Recipes: what is in them, and what a run and a dataset add."""

import json
import re
from dataclasses import replace
from typing import Any

import pytest

from tests.unit.trainer.recipes.runs import inline_config, run
from trainer import recipes
from trainer.datasets.prepared import Prepared
from trainer.errors import SpecError
from trainer.recipes import inline


def test_the_recipes_are_those_of_the_manual() -> None:
    assert recipes.names() == [
        "det-db-mobile",
        "det-db-res18",
        "det-pp-ocrv3-cml",
        "det-pp-ocrv3-dml",
        "det-pp-ocrv3-student",
        "det-pp-ocrv4-mobile",
        "det-pp-ocrv5-mobile",
        "det-pp-ocrv5-server",
        "det-pp-ocrv6-medium",
        "det-pp-ocrv6-small",
        "det-pp-ocrv6-tiny",
        "rec-crnn-mobile",
        "rec-pp-ocrv3",
        "rec-pp-ocrv3-distill",
        "rec-pp-ocrv4-mobile",
        "rec-pp-ocrv5-mobile",
        "rec-pp-ocrv5-server",
        "rec-pp-ocrv6-medium",
        "rec-pp-ocrv6-small",
        "rec-pp-ocrv6-tiny",
    ]


@pytest.mark.parametrize("name", recipes.names())
def test_every_recipe_is_a_whole_configuration_of_its_task(name: str) -> None:
    recipe = recipes.load(name)
    assert set(inline.SECTIONS) == recipe.config.keys()
    assert recipe.task == recipe.config["Architecture"]["model_type"] == name[:3]
    assert recipe.summary
    assert re.fullmatch(r"PP-OCRv[3-6]_(mobile|server|tiny|small|medium)_" + recipe.task, recipe.model_name)


@pytest.mark.parametrize("name", [name for name in recipes.names() if name.startswith("rec")])
def test_every_recogniser_makes_batches_by_width(name: str) -> None:
    """From the width at which users of the export read short lines, so that both see the same lines."""
    config = recipes.resolve(run(name)).config
    assert config["Train"]["sampler"] == {"name": "WidthSampler", "max_w": 1280, "divided_factor": 32}
    shapes = [op["RecResizeImg"]["image_shape"] for part in ("Train", "Eval") for op in transforms(config, part)]
    assert shapes == [shapes[0]] * 2
    assert shapes[0] == ([3, 32, 64] if name == "rec-crnn-mobile" else [3, 48, 320])


def transforms(config: dict[str, Any], part: str) -> list[dict[str, Any]]:
    return [operator for operator in config[part]["dataset"]["transforms"] if "RecResizeImg" in operator]


def test_a_recipe_of_the_other_task_is_refused() -> None:
    with pytest.raises(SpecError, match=r"'det-db-mobile' is for task 'det', but run.task is 'rec'"):
        recipes.resolve(run("det-db-mobile", task="rec"))


def test_the_dataset_gives_dictionary_and_longest_label(prepared: Prepared) -> None:
    found = recipes.resolve(run(), prepared).config["Global"]
    assert found["character_dict_path"] == str(prepared.dictionary)
    assert found["max_text_length"] == 6
    assert found["use_space_char"] is True


def test_a_framed_label_has_room_for_its_two_marks_everywhere(prepared: Prepared) -> None:
    """SAR's encoder drops a sample silently when label, begin and end are longer than max_text_length."""
    config = recipes.resolve(run("rec-pp-ocrv3"), prepared).config
    assert config["Global"]["max_text_length"] == 8
    assert config["Architecture"]["Head"]["head_list"][1]["SARHead"]["max_text_length"] == 8
    # What RecConAug joins gets the two marks, too.
    assert config["Train"]["dataset"]["transforms"][1]["RecConAug"]["max_text_length"] == 6
    assert "auto" not in json.dumps(config)


def test_a_length_set_by_hand_is_the_length_everywhere(prepared: Prepared) -> None:
    config = recipes.resolve(run("rec-pp-ocrv3", overrides={"Global.max_text_length": 25}), prepared).config
    assert config["Global"]["max_text_length"] == 25
    assert config["Architecture"]["Head"]["head_list"][1]["SARHead"]["max_text_length"] == 25


@pytest.mark.parametrize(("recipe", "width", "places"), [("rec-crnn-mobile", 64, 16), ("rec-pp-ocrv3", 320, 40)])
def test_labels_longer_than_the_network_has_places_are_told(
    recipe: str, width: int, places: int, prepared: Prepared
) -> None:
    """CTC gives such a sample a loss of 0, so nothing else would tell; with batches by width each line has its own."""
    one_width: dict[str, Any] = {"Train.sampler": None}
    assert not recipes.resolve(run(recipe, overrides=one_width), replace(prepared, max_text_length=places)).notes
    too_long = replace(prepared, max_text_length=places + 1)
    (note,) = recipes.resolve(run(recipe, overrides=one_width), too_long).notes
    assert f"{places + 1} characters, but a line of {width} pixels has room for {places}" in note
    wider = {f"{part}.dataset.transforms.RecResizeImg.image_shape.2": 640 for part in ("Train", "Eval")}
    assert not recipes.resolve(run(recipe, overrides=one_width | wider), too_long).notes
    assert not recipes.resolve(run(recipe), too_long).notes


def test_without_a_dataset_auto_stays() -> None:
    assert recipes.resolve(run()).config["Global"]["max_text_length"] == "auto"


def test_fields_of_train_are_taken_and_overrides_win() -> None:
    fields = {"epochs": 3, "batchSizePerDevice": 7, "readers": 2}
    config = recipes.resolve(run(train=fields)).config
    assert config["Global"]["epoch_num"] == 3
    assert config["Train"]["loader"] == {
        "shuffle": True,
        "drop_last": True,
        "batch_size_per_card": 7,
        "num_workers": 2,
    }
    assert recipes.resolve(run(train=fields, overrides={"Global.epoch_num": 9})).config["Global"]["epoch_num"] == 9


@pytest.mark.parametrize(("rule", "factor"), [("linear", 4.0), ("sqrt", 2.0), ("none", 1.0)])
def test_the_learning_rate_follows_the_global_batch_when_asked(rule: Any, factor: float) -> None:
    """rec-crnn-mobile is tuned for 16; two devices of 32 are four times that."""
    spec = run(train={"batchSizePerDevice": 32, "scaleLearningRate": rule})
    recipe = recipes.resolve(spec, world_size=2)
    assert recipe.config["Optimizer"]["lr"]["learning_rate"] == pytest.approx(0.001 * factor)
    assert [note for note in recipe.notes if f"{factor:g} times" in note] == list(recipe.notes)
    assert bool(recipe.notes) == (factor != 1.0)


def test_a_learning_rate_set_by_hand_is_not_scaled() -> None:
    spec = run(
        train={"batchSizePerDevice": 32, "scaleLearningRate": "linear"},
        overrides={"Optimizer.lr.learning_rate": 0.5},
    )
    assert recipes.resolve(spec).config["Optimizer"]["lr"]["learning_rate"] == 0.5


def test_rates_of_a_stepped_schedule_are_scaled_one_by_one() -> None:
    config = inline_config()
    config["Optimizer"]["lr"] = {"name": "Piecewise", "decay_epochs": [700], "values": [0.001, 0.0001]}
    spec = run(task="rec", config=config, train={"scaleLearningRate": "linear"})
    assert recipes.resolve(spec, world_size=2).config["Optimizer"]["lr"]["values"] == [0.002, 0.0002]
