"""`ocrfleet recipes` lists recipes and shows one in full."""

import json
from collections.abc import Callable
from typing import Any

from trainer import recipes
from trainer.formats.yaml import parse_yaml


def test_recipes_are_listed(ocrfleet: Callable[..., Any]) -> None:
    table = ocrfleet("recipes").out.splitlines()
    assert table[0].split() == ["NAME", "TASK", "SUMMARY"]
    assert [line.split()[0] for line in table[1:]] == recipes.names()
    assert [row["name"] for row in json.loads(ocrfleet("recipes", "-o", "json").out)] == recipes.names()


def test_a_recipe_is_shown_in_full(ocrfleet: Callable[..., Any]) -> None:
    shown = parse_yaml(ocrfleet("recipes", "det-db-mobile").out, source="x")
    assert shown == json.loads(ocrfleet("recipes", "det-db-mobile", "-o", "json").out)
    assert shown["config"] == recipes.load("det-db-mobile").config
