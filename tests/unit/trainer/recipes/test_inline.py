"""A whole configuration of PaddleOCR in the job file."""

import copy

import pytest

from tests.unit.trainer.recipes.runs import inline_config, run
from trainer import recipes
from trainer.datasets.prepared import Prepared
from trainer.errors import SpecError


def test_an_inline_configuration_is_taken_whole_and_left_alone(prepared: Prepared) -> None:
    config = inline_config()
    del config["Global"]["max_text_length"]
    before = copy.deepcopy(config)
    recipe = recipes.resolve(run(task="rec", config=config), prepared)
    assert recipe.name == "run.config"
    assert recipe.config["Global"]["max_text_length"] == 6
    assert recipe.config["Architecture"] == before["Architecture"]
    assert config == before


def test_an_inline_configuration_says_which_of_its_keys_are_not_read(prepared: Prepared) -> None:
    config = inline_config()
    config["Global"] |= {"pretrained_model": "./best", "character_dict_path": "ppocr/keys.txt", "model_name": "X_rec"}
    config["Train"]["dataset"]["data_dir"] = "./train_data"
    recipe = recipes.resolve(run(task="rec", config=config), prepared)
    assert "Global.pretrained_model in run.config is ignored. Set run.init.pretrained." in recipe.notes
    assert "Train.dataset.data_dir in run.config is ignored. Name the dataset in run.data." in recipe.notes
    assert recipe.config["Global"]["character_dict_path"] == str(prepared.dictionary)
    assert "data_dir" not in recipe.config["Train"]["dataset"]
    assert recipe.model_name == "PP-OCRv3_mobile_rec"
    assert "Global.model_name is 'X_rec', and paddleocr reads only models with a name that it knows." in " ".join(
        recipe.notes
    )


@pytest.mark.parametrize("key", ["model_name", "pdx_model_name"])
def test_a_name_that_paddleocr_knows_is_kept(prepared: Prepared, key: str) -> None:
    config = inline_config()
    config["Global"] |= {key: "latin_PP-OCRv5_mobile_rec"}
    recipe = recipes.resolve(run(task="rec", config=config), prepared)
    assert recipe.model_name == "latin_PP-OCRv5_mobile_rec"
    assert not [note for note in recipe.notes if "model_name" in note]


def test_missing_sections_of_an_inline_configuration_are_named() -> None:
    config = inline_config()
    del config["Metric"], config["Loss"], config["Train"]["loader"]
    with pytest.raises(SpecError, match=r"run.config lacks Loss, Metric, Train.loader.batch_size_per_card"):
        recipes.resolve(run(task="rec", config=config))


def test_an_inline_configuration_without_epochs_says_where_to_set_them() -> None:
    config = inline_config()
    del config["Global"]["epoch_num"]
    with pytest.raises(SpecError, match=r"Global.epoch_num of run.config is missing. Set it, or set run.train.epochs"):
        recipes.resolve(run(task="rec", config=config))
    assert recipes.resolve(run(task="rec", config=config, train={"epochs": 2})).config["Global"]["epoch_num"] == 2
