"""Which evaluation is the best, and which network of a distillation is kept."""

from typing import Any

import pytest

from tests.unit.trainer.ppocr.workers import RUN
from trainer import recipes
from trainer.ppocr.progress import Progress
from trainer.ppocr.selection import Selection
from trainer.run.spec import RunSpec, from_dict

ONE: dict[str, Any] = {"Architecture": {"model_type": "rec"}, "Global": {"epoch_num": 3}}


def a_run(**distill: str) -> RunSpec:
    return from_dict(RunSpec, {**RUN, "distill": distill}, where="run")


def a_selection(progress: Progress, *, config: Any = ONE, alone: bool = False, **distill: str) -> Selection:
    return Selection(a_run(**distill), config, progress, steps=4, alone=alone)


@pytest.fixture(scope="module")
def several() -> dict[str, Any]:
    """A distillation of two networks that learn: Student comes before Teacher."""
    return recipes.load("rec-pp-ocrv3-distill").config


def test_the_best_evaluation_is_kept_and_of_equals_the_later_one() -> None:
    progress = Progress()
    selection = a_selection(progress)
    best = []
    for step, acc in ((4, 0.0), (8, 0.0), (12, 0.5), (16, 0.4)):
        progress.step = step
        best.append(selection.add({"": {"acc": acc, "norm_edit_dis": 1 - acc}}).best)
    assert best == [True, True, True, False]
    assert progress.best == {"step": 12, "epoch": 3, "metrics": {"acc": 0.5, "norm_edit_dis": 0.5}}
    assert [entry["step"] for entry in progress.evaluations] == [4, 8, 12, 16]
    assert progress.evaluations[-1] == {
        "step": 16,
        "epoch": 4,
        "metrics": {"acc": 0.4, "norm_edit_dis": 0.6},
        "best": False,
    }


@pytest.mark.parametrize(("step", "since", "epoch"), [(3, None, 1), (4, None, 1), (5, None, 2), (5, 4, 1), (9, 4, 2)])
def test_an_evaluation_is_of_the_epoch_just_worked_on(step: int, since: int | None, epoch: int) -> None:
    """Counted from where a network trains alone."""
    progress = Progress(step=step, alone_since=since)
    assert a_selection(progress).add({"": {"acc": 0.0}}).epoch == epoch


@pytest.mark.parametrize(
    ("student", "teacher", "publish", "picked"),
    [
        (0.5, 0.5, None, "Student"),
        (0.5, 0.6, None, "Teacher"),
        (0.5, 0.6, "Student", "Student"),
    ],
    ids=["of equals the first", "the best", "a named one always"],
)
def test_the_network_that_is_kept(
    several: dict[str, Any], student: float, teacher: float, publish: str | None, picked: str
) -> None:
    progress = Progress(step=4)
    metrics = {"Teacher": {"acc": teacher}, "Student": {"acc": student}}
    selection = a_selection(progress, config=several, **({"publish": publish} if publish else {}))
    evaluation = selection.add(metrics)
    assert (evaluation.network, evaluation.metrics) == (picked, metrics[picked])
    assert progress.best == {"step": 4, "epoch": 1, "metrics": metrics[picked], "network": picked}
    assert progress.evaluations == [{**progress.best, "networks": metrics, "best": True}]


def test_a_network_that_trains_alone_must_reach_its_best_of_the_distillation(several: dict[str, Any]) -> None:
    """And it keeps its name."""
    best = {"step": 4, "epoch": 1, "metrics": {"acc": 0.5}, "network": "Student"}
    progress = Progress(step=6, best=best, alone_since=4)
    selection = a_selection(progress, alone=True)
    assert selection.title == "Training Student alone:"
    evaluation = selection.add({"": {"acc": 0.4}})
    assert (evaluation.network, evaluation.best, progress.best) == ("Student", False, best)
    assert evaluation.entry() == {
        "step": 6,
        "epoch": 1,
        "metrics": {"acc": 0.4},
        "network": "Student",
        "best": False,
    }


def frozen(config: dict[str, Any], name: str) -> dict[str, Any]:
    models = config["Architecture"]["Models"]
    models = {**models, name: {**models[name], "freeze_params": True}}
    return {**config, "Architecture": {**config["Architecture"], "Models": models}}


def test_the_title_says_who_teaches_whom(several: dict[str, Any]) -> None:
    assert a_selection(Progress()).title == "Training"
    both = a_selection(Progress(), config=several)
    assert both.title == "Distilling Student and Teacher, which teach each other:"
    taught = a_selection(Progress(), config=frozen(several, "Teacher"))
    assert taught.title == "Distilling Student, taught by Teacher:"


NETWORKS = {
    "Student": {"metrics": {"acc": 0.75}, "frozen": False},
    "Other": {"metrics": {"acc": 0.5}, "frozen": False},
    "Teacher": {"metrics": {"acc": 0.9}, "frozen": True},
}
PICKED = {"step": 4, "epoch": 1, "metrics": {"acc": 0.75}, "network": "Student"}


@pytest.mark.parametrize(("alone", "epochs"), [(True, 3), (False, 0)])
def test_training_json_says_what_was_picked_and_why(several: dict[str, Any], alone: bool, epochs: int) -> None:
    progress = Progress(best=PICKED, networks=NETWORKS)
    facts = a_selection(progress, config=ONE if alone else several, alone=alone).facts()
    why = "Student has the best acc of the networks that learn: 0.7500 (Other 0.5000)."
    assert facts["distillation"] == {
        "networks": NETWORKS,
        "picked": "Student",
        "why": why,
        "fine_tuned_epochs": epochs,
    }


def test_a_network_that_the_user_chose_needs_no_other_reason(several: dict[str, Any]) -> None:
    progress = Progress(best=PICKED, networks=NETWORKS)
    facts = a_selection(progress, config=several, publish="Student").facts()
    assert facts["distillation"]["why"] == "Student was chosen by run.distill.publish."


def test_a_training_of_one_network_has_no_such_facts() -> None:
    assert a_selection(Progress(best=PICKED)).facts() == {}
