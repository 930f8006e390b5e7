"""The gain of a distillation over its baseline."""

import re
from typing import Any

import pytest

from tests.unit.trainer.registry import published
from trainer.registry import baseline as gain
from trainer.registry import channels, manifests
from trainer.registry.distillation import Distillation, Gain, Network
from trainer.registry.manifests import Manifest
from trainer.run import spec as runspec
from trainer.run.spec import RunSpec
from trainer.storage import Store

TRAINED = Distillation(
    picked="Student",
    why="It is the only one that learns.",
    fine_tuned_epochs=2,
    networks=(
        Network(
            name="Teacher",
            frozen=True,
            parameters=1000,
            metrics={"acc": 0.95, "norm_edit_dis": 0.99},
            seconds_per_image=0.02,
        ),
        Network(name="Student", frozen=False, parameters=100, metrics={"acc": 0.9, "norm_edit_dis": 0.98}),
    ),
)


def manifest(**changes: Any) -> Manifest:
    return published.manifest("lines-1", **{"metrics": {"acc": 0.8, "norm_edit_dis": 0.9}, **changes})


def compared(store: Store, baseline: str | None, **changes: Any) -> Gain | None:
    raw = {"task": "rec", "recipe": "x", "data": {"train": "s3://data/"}, "output": store.uri}
    run = runspec.from_dict(RunSpec, {**raw, "distill": {"baseline": baseline}}, where="run")
    judged = {"metrics": {"acc": 0.85, "norm_edit_dis": 0.89}, "split": "test", "dataset": "d" * 64, "samples": 1234}
    return gain.compare(run, store, **{**judged, **changes})


def test_equals_are_neither_above_nor_below(store: Store) -> None:
    manifests.create(store, manifest(metrics={"acc": 0.85}))
    made = compared(store, "lines-1")
    assert made
    assert "acc 0.8500 is equal to the 0.8500 of lines-1" in made.said


@pytest.mark.parametrize("named", ["lines-1", "channel:plain"])
def test_the_gain_is_that_over_the_baseline_on_the_same_samples(store: Store, named: str) -> None:
    manifests.create(store, manifest())
    channels.promote(store, "lines-1", "plain")
    made = compared(store, named)
    assert made
    assert made.gain == {"acc": 0.05, "norm_edit_dis": -0.01}
    assert (made.baseline, made.run, made.metrics) == (named, "lines-1", {"acc": 0.8, "norm_edit_dis": 0.9})
    assert made.said == (
        "acc 0.8500 is 0.0500 above the 0.8000 of lines-1, trained without a teacher, on the same 1,234 samples of the "
        "test split."
    )


def test_a_loss_is_said_as_plainly_as_a_gain(store: Store) -> None:
    manifests.create(store, manifest(metrics={"acc": 0.9}))
    made = compared(store, "lines-1")
    assert made
    assert made.gain == {"acc": -0.05}
    assert "acc 0.8500 is 0.0500 below the 0.9000 of lines-1" in made.said


@pytest.mark.parametrize("other", [{"dataset": "e" * 64}, {"split": "eval"}, {"metrics": {"norm_edit_dis": 0.9}}])
def test_figures_of_other_samples_are_not_compared(store: Store, other: dict[str, Any]) -> None:
    manifests.create(store, manifest(**other))
    made = compared(store, "lines-1")
    assert made
    assert made.gain is None
    assert made.said.startswith(
        "The gain is unknown: lines-1, trained without a teacher, was evaluated on other data. "
    )


@pytest.mark.parametrize(
    ("named", "other", "says"),
    [
        ("channel:plain", {}, "run.distill.baseline is 'channel:plain', but file://.* has no such channel"),
        ("lines-9", {}, "run lines-9 is not published at file://"),
        ("lines-1", {"task": "det"}, "its run lines-1 has task 'det'"),
        ("lines-1", {"distillation": TRAINED}, "its run lines-1 is a distillation itself"),
    ],
    ids=["no channel", "no run", "another task", "a distillation"],
)
def test_a_baseline_that_is_none_ends_no_run_and_is_said(
    store: Store, named: str, other: dict[str, Any], says: str
) -> None:
    """It is found missing when the training is done."""
    manifests.create(store, manifest(**other))
    made = compared(store, named)
    assert made
    assert (made.gain, made.run) == (None, None)
    assert re.search(f"^The gain is unknown: .*{says}", made.said)


def test_without_a_baseline_there_is_nothing_to_compare(store: Store) -> None:
    assert compared(store, None) is None
