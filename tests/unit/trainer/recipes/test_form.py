"""A configuration of another form than PaddleOCR's is refused with its place."""

import copy
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.trainer.recipes.runs import inline_config, run
from trainer import recipes
from trainer.errors import SpecError

Place = tuple[str | int, ...]

NAMES = ("rec-crnn-mobile", "det-db-mobile", "rec-pp-ocrv3-distill", "det-pp-ocrv3-cml")


def places(node: Any, above: Place = ()) -> Iterator[Place]:
    """Name every part of a configuration."""
    inside = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for step, part in inside:
        yield (*above, step)
        yield from places(part, (*above, step))


def changed(name: str, place: Place, value: Any) -> dict[str, Any]:
    config = copy.deepcopy(inline_config(name))
    node: Any = config
    for step in place[:-1]:
        node = node[step]
    node[place[-1]] = value
    return config


PLACES = {name: list(places(inline_config(name))) for name in NAMES}
VALUES: st.SearchStrategy[Any] = st.sampled_from(
    [None, 7, -1.5, True, "abc", [], {}, [1], {"a": 1}, [[]], [{}], [None]]
)


@settings(max_examples=400, deadline=None)
@given(st.data())
def test_a_part_of_another_type_is_taken_or_refused_and_no_other_error(data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(NAMES))
    config = changed(name, data.draw(st.sampled_from(PLACES[name])), data.draw(VALUES))
    with suppress(SpecError):
        recipes.resolve(run(task=name[:3], config=config))


@pytest.mark.parametrize(
    ("place", "value", "sentence"),
    [
        (
            ("Train", "dataset", "transforms"),
            7,
            "run.config has another form than PaddleOCR's: Expected `array`, got `int` - at "
            "`$.Train.dataset.transforms`.",
        ),
        (
            ("Eval", "loader", "batch_size_per_card"),
            "abc",
            "run.config has another form than PaddleOCR's: Expected `int`, got `str` - at "
            "`$.Eval.loader.batch_size_per_card`.",
        ),
        (
            ("Train", "dataset", "transforms", 2),
            {"RecResizeImg": {"image_shape": [3]}},
            "Train.dataset.transforms.RecResizeImg of run.config has another form than PaddleOCR's: Expected `array` "
            "of length 3, got 1 - at `$.image_shape`.",
        ),
    ],
)
def test_a_part_of_another_type_is_named(place: Place, value: Any, sentence: str) -> None:
    with pytest.raises(SpecError) as refused:
        recipes.resolve(run(task="rec", config=changed("rec-crnn-mobile", place, value)))
    assert str(refused.value) == sentence


def test_an_override_cannot_break_the_form() -> None:
    with pytest.raises(SpecError, match=r"^recipe rec-crnn-mobile has another form than PaddleOCR's: "):
        recipes.resolve(run(overrides={"Train.dataset.transforms": [7]}))
