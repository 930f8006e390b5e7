"""The built-in recipes, each on top of what it extends."""

import pytest

from tests.unit.trainer.recipes.runs import run
from trainer import recipes
from trainer.errors import SpecError


def test_an_overlay_keeps_what_it_does_not_say() -> None:
    student = recipes.load("det-pp-ocrv3-student").config
    assert student["Architecture"]["Neck"] == {"name": "RSEFPN", "out_channels": 96, "shortcut": True}
    assert student["Architecture"]["Head"] == {"name": "DBHead", "k": 50}
    assert student["Optimizer"]["regularizer"] == {"name": "L2", "factor": 5e-5}


def test_what_one_caller_does_to_a_recipe_no_other_sees() -> None:
    recipes.load("det-db-mobile").config["Architecture"].clear()
    assert recipes.load("det-db-mobile").config["Architecture"]


def test_an_unknown_recipe_is_an_error_with_the_nearest_name() -> None:
    with pytest.raises(SpecError, match=r"run.recipe 'rec-crnn-mobil' .*Did you mean 'rec-crnn-mobile'"):
        recipes.resolve(run("rec-crnn-mobil"))


def test_a_base_of_recipes_is_no_recipe() -> None:
    with pytest.raises(SpecError, match="'_rec-ctc' is not a recipe"):
        recipes.load("_rec-ctc")
