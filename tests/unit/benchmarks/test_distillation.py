"""`benchmarks/distillation.py`: its two students differ by the teacher alone, and its table says what was measured."""

from typing import Any

import pytest

from benchmarks import distillation
from benchmarks.road import JOBS, Ended
from jobs.jobfile import model as jobfile
from trainer import recipes
from trainer.recipes import distill


def without_nulls(architecture: dict[str, Any]) -> dict[str, Any]:
    """Leave out what is absent, which PaddleOCR takes as if it were not named."""
    return {key: value for key, value in architecture.items() if value is not None}


def test_the_students_differ_by_the_teacher_alone() -> None:
    """One network, one way to read, one schedule: else the gain would be that of another training."""
    alone, taught = (jobfile.load(JOBS / f"distillation-{kind}.yaml").run for kind in ("plain", "distilled"))
    assert (alone.data, alone.train) == (taught.data, taught.train)
    plain, several = (recipes.resolve(run).config for run in (alone, taught))
    student = distill.plain(several, "Student")
    assert student["Architecture"] == without_nulls(plain["Architecture"])
    for part in ("Optimizer", "PostProcess", "Metric", "Train", "Eval", "Loss"):
        assert student[part] == plain[part], part
    assert several["Global"]["epoch_num"] == plain["Global"]["epoch_num"]


def test_the_teacher_is_the_one_that_the_students_know() -> None:
    teacher, taught = (
        recipes.resolve(jobfile.load(JOBS / f"distillation-{kind}.yaml").run).config
        for kind in ("teacher", "distilled")
    )
    assert distill.plain(taught, "Teacher")["Architecture"] == without_nulls(teacher["Architecture"])
    assert distill.networks(taught) == {"Teacher": True, "Student": False}


def ended(acc: float, *, train: int = 70) -> Ended:
    return Ended(
        run="r",
        metrics={"acc": acc, "norm_edit_dis": acc / 2},
        samples={"train": train, "eval": 265},
        steps=9,
        seconds=2.0,
        seen=144,
        stages=(),
    )


def test_the_gain_is_between_students_of_one_seed() -> None:
    students = {"plain": [ended(0.1), ended(0.3)], "distilled": [ended(0.4), ended(0.4)]}
    found = {metric: distillation.summary(students, metric) for metric in distillation.METRICS}
    assert found["acc"]["gain"] == pytest.approx({"mean": 0.2, "least": 0.1, "greatest": 0.3})
    facts = {kind: [each.facts() for each in runs] for kind, runs in students.items()}
    assert distillation.as_table({"teacher": ended(0.9, train=1000).facts(), **facts, **found}).splitlines()[2:] == [
        "| teacher | 1000 | 9 | 0.900 | 0.450 |",
        "| student alone | 70 | 9 | 0.200 (0.100 to 0.300) | 0.100 (0.050 to 0.150) |",
        "| student with the teacher | 70 | 9 | 0.400 (0.400 to 0.400) | 0.200 (0.200 to 0.200) |",
        "| gain | | | +0.200 (+0.100 to +0.300) | +0.100 (+0.050 to +0.150) |",
        "",
        "2 seeds: mean (least to greatest), on 265 lines that none of them saw",
    ]
