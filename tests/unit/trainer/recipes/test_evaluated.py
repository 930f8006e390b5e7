"""No part of a configuration runs as Python."""

import copy
from typing import Any

import pytest

from tests.unit.trainer.recipes.runs import inline_config, run
from trainer import recipes
from trainer.errors import SpecError
from trainer.recipes import evaluated

CALL = "__import__('os').system('true')"


def with_part(place: str, value: Any) -> dict[str, Any]:
    """Return a configuration with a value at a place; a number is a place in a list, `+` its end."""
    config = copy.deepcopy(inline_config())
    node: Any = config
    *steps, last = place.split("/")
    for step in steps:
        node = node[int(step)] if isinstance(node, list) else node.setdefault(step, {})
    if last == "+":
        node.append(value)
    else:
        node[last] = value
    return config


@pytest.mark.parametrize(
    ("place", "value", "sentence"),
    [
        (
            "Train/dataset/transforms/+",
            {CALL: None},
            f"Train.dataset.transforms of run.config has the key {CALL!r}. PaddleOCR evaluates such keys as Python: "
            "write the name of a class or of an argument.",
        ),
        (
            "Eval/dataset/transforms/+",
            {"os.system": {"command": "true"}},
            "Eval.dataset.transforms of run.config has the key 'os.system'.",
        ),
        (
            "Train/dataset/transforms/+",
            {"NormalizeImage": {"scale": CALL}},
            f"Train.dataset.transforms.NormalizeImage.scale of run.config is {CALL!r}. PaddleOCR evaluates such texts "
            "as Python, so they must not have brackets.",
        ),
        # Each key of Global is an argument of every operator, too.
        ("Global/scale", CALL, f"Global.scale of run.config is {CALL!r}."),
        ("Architecture/Backbone/act", CALL, f"Architecture.Backbone.act of run.config is {CALL!r}."),
        ("Architecture/Head/head_list", [{"paddle.load": {"path": "x"}}], "Architecture.Head.head_list of run.config"),
        ("Loss/loss_config_list", [{CALL: {}}], "Loss.loss_config_list of run.config has the key"),
        # Without a parenthesis, and yet a call.
        (
            "Architecture/Backbone/act",
            "[nn.Layer for nn.Layer.__class_getitem__ in [os.system]]",
            "Architecture.Backbone.act of run.config is '[nn.Layer for ",
        ),
    ],
)
def test_a_configuration_that_would_run_code_is_refused(place: str, value: Any, sentence: str) -> None:
    with pytest.raises(SpecError) as refused:
        recipes.resolve(run(task="rec", config=with_part(place, value)))
    assert str(refused.value).startswith(sentence)


def test_an_override_that_would_run_code_is_refused() -> None:
    changed = run(task="rec", recipe="rec-crnn-mobile", overrides={"Metric.main_indicator": CALL})
    with pytest.raises(SpecError, match=r"^Metric\.main_indicator of recipe rec-crnn-mobile is .*have brackets"):
        recipes.resolve(changed)


def test_names_quotients_and_paths_are_no_code() -> None:
    config = with_part("Train/dataset/transforms/+", {"NormalizeImage": {"scale": "1./255.", "order": "hwc"}})
    config["Architecture"]["Backbone"]["act"] = "nn.GELU"
    config["Global"]["my-own key"] = "./a b/c-1.txt"
    evaluated.check(config, source="run.config")
