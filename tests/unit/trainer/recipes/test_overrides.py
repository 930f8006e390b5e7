"""Dotted overrides: every place can be set, nothing else changes, a wrong name never passes."""

import copy
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trainer import recipes
from trainer.errors import SpecError
from trainer.recipes import overrides
from trainer.recipes.known import OPTIONAL, OWNED

CONFIGS = {name: recipes.load(name).config for name in recipes.names()}
REC = CONFIGS["rec-pp-ocrv3"]
DET = CONFIGS["det-db-mobile"]


def apply(given: Mapping[str, Any], config: Mapping[str, Any] = DET, source: str = "recipe x") -> dict[str, Any]:
    return overrides.apply(config, given, source=source)


def leaves(node: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], Any]]:
    """Every scalar with the keys and indices that lead to it."""
    pairs = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, value in pairs:
        if isinstance(value, dict | list):
            yield from leaves(value, (*path, key))
        else:
            yield (*path, key), value


def numbers(config: dict[str, Any]) -> list[str]:
    """Dotted names of all numbers, with indices for list items."""
    found = (
        ".".join(map(str, path)) for path, v in leaves(config) if isinstance(v, int | float) and not isinstance(v, bool)
    )
    return [name for name in found if name not in OWNED]


@given(data=st.data(), recipe=st.sampled_from(sorted(CONFIGS)), value=st.integers(min_value=1, max_value=10**6))
@settings(max_examples=60, deadline=None)
def test_an_override_changes_its_place_and_nothing_else(data: st.DataObject, recipe: str, value: int) -> None:
    config = CONFIGS[recipe]
    before = copy.deepcopy(config)
    name = data.draw(st.sampled_from(numbers(config)))
    after = dict(leaves(apply({name: value}, config)))
    differing = {path for path, old in leaves(before) if after[path] != old}
    place = next(path for path in after if ".".join(map(str, path)) == name)
    assert after[place] == value
    assert differing <= {place}
    assert config == before


@given(data=st.data(), recipe=st.sampled_from(sorted(CONFIGS)))
@settings(max_examples=60, deadline=None)
def test_a_misspelt_name_is_refused_and_the_right_one_is_suggested(data: st.DataObject, recipe: str) -> None:
    """One letter lost from any step of a name leads back to it, unless another key is nearer."""
    config = CONFIGS[recipe]
    places = set(overrides.dotted(config)) | {name for name in OPTIONAL if name.count(".") < 3}
    name = data.draw(st.sampled_from(sorted(place for place in places if "." in place)))
    steps = name.split(".")
    which = data.draw(st.integers(0, len(steps) - 1))
    at = data.draw(st.integers(0, len(steps[which]) - 1))
    steps[which] = steps[which][:at] + steps[which][at + 1 :]
    wrong = ".".join(steps)
    if wrong in places:
        return
    with pytest.raises(SpecError) as caught:
        apply({wrong: 1}, config, source=f"recipe {recipe}")
    message = str(caught.value)
    assert f"run.overrides {wrong!r} is not a key of recipe {recipe}." in message
    # The third: of a component that this recipe has not, and another has.
    assert any(remedy in message for remedy in ("Did you mean '", "Keys ", "To set it, override "))


@given(st.dictionaries(st.sampled_from(numbers(REC)), st.integers(1, 99), max_size=8), st.randoms())
@settings(max_examples=40, deadline=None)
def test_the_order_of_overrides_does_not_matter(values: dict[str, int], random: Any) -> None:
    shuffled = list(values.items())
    random.shuffle(shuffled)
    assert apply(values, REC) == apply(dict(shuffled), REC)


@given(st.text(max_size=30), st.one_of(st.none(), st.integers(), st.text(max_size=5), st.lists(st.integers())))
@settings(max_examples=200, deadline=None)
def test_no_name_however_odd_is_anything_but_set_or_refused(name: str, value: Any) -> None:
    with suppress(SpecError):
        apply({name: value}, DET)


def test_the_nearest_name_is_given_as_the_manual_shows_it() -> None:
    with pytest.raises(SpecError) as caught:
        apply({"Optimzer.lr.learning_rate": 0.1}, CONFIGS["rec-crnn-mobile"], "recipe rec-crnn-mobile")
    assert str(caught.value) == (
        "run.overrides 'Optimzer.lr.learning_rate' is not a key of recipe rec-crnn-mobile. "
        "Did you mean 'Optimizer.lr.learning_rate'?"
    )


@pytest.mark.parametrize(
    ("wrong", "right"),
    [
        ("lr.learning_rate", "Optimizer.lr.learning_rate"),
        ("learnig_rate", "Optimizer.lr.learning_rate"),
        ("Global.find_unused_parameterss", "Global.find_unused_parameters"),
        ("Train.dataset.transforms.EastRandomCrop.size", "Train.dataset.transforms.EastRandomCropData.size"),
        ("global.epoch_num", "Global.epoch_num"),
        ("shufle", "Eval.loader.shuffle"),
        ("loader.shuffle", "Eval.loader.shuffle"),
    ],
)
def test_short_forms_and_wrong_letters_lead_to_the_right_name(wrong: str, right: str) -> None:
    with pytest.raises(SpecError, match=f"Did you mean '{right}'"):
        apply({wrong: 1})


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        (
            "Eval.loader.xyz",
            1,
            "is not a key of recipe x. Keys in Eval.loader: batch_size_per_card, drop_last, num_workers, shuffle, "
            "use_shared_memory.",
        ),
        (
            "xyz",
            1,
            "is not a key of recipe x. Keys there: Architecture, Eval, Global, Loss, Metric, Optimizer, PostProcess, "
            "Train.",
        ),
        (
            "Optimizer.lr.learning_rate.q",
            1,
            "is not a key of recipe x. To set it, override Optimizer.lr.learning_rate as a whole, including its "
            "`name`.",
        ),
        (
            "Eval.dataset.q",
            1,
            "is not a key of recipe x. Keys in Eval.dataset: name, transforms. To set another key, override "
            "Eval.dataset as a whole, including its `name`.",
        ),
        ("Optimizer.lr.warmup_epoc", 1, "is not a key of recipe x. Did you mean 'Optimizer.lr.warmup_epoch'?"),
        ("Loss", None, "is null: write a mapping."),
        ("Optimizer.lr.learning_rate", None, "is null: write a number."),
        ("Global.epoch_num", 0, "is 0: write 1 or more."),
    ],
)
def test_a_fault_is_one_whole_sentence(name: str, value: Any, sentence: str) -> None:
    with pytest.raises(SpecError) as caught:
        apply({name: value})
    assert str(caught.value) == f"run.overrides {name!r} {sentence}"


def test_an_operator_is_found_by_name_and_by_index() -> None:
    by_name = apply({"Train.dataset.transforms.EastRandomCropData.size": [640, 640]})
    assert by_name["Train"]["dataset"]["transforms"][3]["EastRandomCropData"]["size"] == [640, 640]
    assert apply({"Train.dataset.transforms.3.EastRandomCropData.size": [640, 640]}) == by_name
    in_list = apply({"Train.dataset.transforms.EastRandomCropData.size.1": 320})
    assert in_list["Train"]["dataset"]["transforms"][3]["EastRandomCropData"]["size"] == [960, 320]


def test_an_operator_without_arguments_takes_those_that_paddleocr_knows() -> None:
    config = apply({"Train.dataset.transforms.RecAug.tia_prob": 0}, REC)
    assert config["Train"]["dataset"]["transforms"][2] == {"RecAug": {"tia_prob": 0}}
    assert apply({"Train.dataset.transforms.2.RecAug.tia_prob": 0}, REC) == config
    assert REC["Train"]["dataset"]["transforms"][2] == {"RecAug": None}


def test_heads_and_losses_in_lists_are_found_by_name() -> None:
    config = apply({"Architecture.Head.head_list.CTCHead.Neck.dims": 96}, REC)
    assert config["Architecture"]["Head"]["head_list"][0]["CTCHead"]["Neck"]["dims"] == 96


@pytest.mark.parametrize(
    "name", ["Global.find_unused_parameters", "Optimizer.clip_norm_global", "Train.loader.use_shared_memory"]
)
def test_a_key_that_the_recipe_leaves_out_can_be_set(name: str) -> None:
    value = OPTIONAL[name] == "flag" or 1.5
    *path, last = name.split(".")
    section = apply({name: value})
    for step in path:
        section = section[step]
    assert section[last] == value


def test_a_component_with_its_name_is_replaced_whole() -> None:
    new = {"name": "Step", "learning_rate": 0.1, "step_size": 3, "gamma": 0.5}
    assert apply({"Optimizer.lr": new})["Optimizer"]["lr"] == new
    with_key = apply({"Optimizer.lr.gamma": 0.7, "Optimizer.lr": new})
    assert with_key["Optimizer"]["lr"] == {**new, "gamma": 0.7}


def test_nested_mappings_mean_the_same_as_dots() -> None:
    """So `--set run.overrides.Global.epoch_num=3`, which Helm nests, does not replace all of Global."""
    nested = {"Global": {"epoch_num": 3}, "Optimizer": {"lr": {"warmup_epoch": 0}}}
    assert apply(nested) == apply({"Global.epoch_num": 3, "Optimizer.lr.warmup_epoch": 0})


@pytest.mark.parametrize(
    ("name", "value", "wanted"),
    [
        ("Optimizer.lr.learning_rate", {}, "a number"),
        ("Optimizer.lr.learning_rate", "1e-3", "a number"),
        ("Optimizer.lr.learning_rate", True, "a number"),
        ("Global.epoch_num", 2.5, "a whole number"),
        ("Global.epoch_num", 0, "1 or more"),
        ("Global.find_unused_parameters", "yes", "true or false"),
        ("Train.dataset.transforms", 3, "a list"),
        ("Train.dataset.transforms.ToCHWImage", 3, "a mapping"),
        ("Train.dataset.transforms.7.ToCHWImage", [], "a mapping"),
        ("Loss", None, "a mapping"),
        ("Metric.main_indicator", 3, "a string"),
    ],
)
def test_a_value_of_another_kind_is_refused(name: str, value: Any, wanted: str) -> None:
    with pytest.raises(SpecError, match=f"{name.split('.')[-1]}' is .*write {wanted}"):
        apply({name: value})


@pytest.mark.parametrize("value", [1, 0.5])
def test_a_number_may_be_whole_or_not_where_it_counts_nothing(value: float) -> None:
    assert apply({"Loss.alpha": value})["Loss"]["alpha"] == value


@pytest.mark.parametrize("name", sorted(OWNED))
def test_a_key_of_the_trainer_is_refused_with_the_field_to_use_instead(name: str) -> None:
    with pytest.raises(SpecError) as caught:
        apply({name: "x"})
    assert str(caught.value) == f"run.overrides {name!r} is set by the trainer. {OWNED[name]}"


def test_a_key_of_the_trainer_is_found_inside_a_component_too() -> None:
    whole = {"name": "SimpleDataSet", "data_dir": "./x", "transforms": []}
    with pytest.raises(SpecError, match=r"'Train.dataset.data_dir' is set by the trainer"):
        apply({"Train.dataset": whole})


def test_all_wrong_overrides_are_named_at_once() -> None:
    with pytest.raises(SpecError) as caught:
        apply({"Global.seed": 1, "Optimzer.beta1": 0.5, "Loss.alpha": "x"})
    assert len(str(caught.value).splitlines()) == 3


@pytest.mark.parametrize(
    ("name", "value", "fits"),
    [
        ("Optimizer.lr.learning_rate", 0.5, True),
        ("Optimizer.lr.learnig_rate", 0.5, False),
        ("Optimizer.lr.learning_rate", "fast", False),
        ("Global.seed", 1, False),
        ("Architecture.Backbone.scale", 1.0, False),
        ("Loss.alpha", 3, False),
    ],
)
def test_a_plain_recipe_takes_what_it_knows_but_of_the_network_and_its_loss(name: str, value: Any, fits: bool) -> None:
    assert overrides.fits(DET, name, value) is fits


def test_places_are_named_with_operators_for_their_indices() -> None:
    config = {"a": [{"Crop": {"size": [1, 2]}}, {"Flip": None}, 3, {"x": 1, "y": {"z": 2}}, [[4], 5]], "b": None}
    assert set(overrides.dotted(config)) == {
        *("a", "a.Crop", "a.Crop.size", "a.Flip"),
        *("a.3", "a.3.x", "a.3.y", "a.3.y.z", "a.4", "a.4.0", "b"),
    }
