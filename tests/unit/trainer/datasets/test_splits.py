"""Which sample is in which split, and when a split has lost too many."""

from pathlib import Path

import pytest

from trainer.datasets.labels import Problem
from trainer.datasets.samples import Candidate
from trainer.datasets.splits import Division, Plan, divide
from trainer.errors import DatasetError
from trainer.run.spec import MaxRefused, RunSpec, from_dict

RAW = {"task": "rec", "recipe": "any", "output": "s3://models/x", "data": {"train": "s3://data/x/"}}


def sample(page: str, *, split: str | None = None, learnable: bool = True) -> Candidate:
    return Candidate(
        image=Path(page),
        label="A",
        source=f"Label.txt:{page}",
        width=9,
        height=9,
        group=page,
        split=split,
        digest="d",
        learnable=learnable,
    )


def samples(count: int, *, split: str | None = None, name: str = "") -> list[Candidate]:
    return [sample(f"{name}{n}.jpg", split=split) for n in range(count)]


def refused(page: str | None = None, *, split: str | None = None) -> Problem:
    return Problem(source="Label.txt:7", reason="no image", about="image", split=split, group=page)


def sizes(division: Division) -> dict[str, int]:
    return {name: len(members) for name, members in division.used.items()}


def test_the_defaults_of_a_plan_are_the_job_files_own() -> None:
    """`check` looks at a folder without a job file, and must promise what a run will do."""
    assert Plan() == Plan.of(from_dict(RunSpec, RAW, where="run"))


def test_a_plan_is_read_of_the_job_file() -> None:
    data = {**RAW["data"], "split": "8:1:1", "maxRefused": {"train": 0.25}}  # type: ignore[dict-item]
    plan = Plan.of(from_dict(RunSpec, {**RAW, "data": data, "train": {"seed": 7}}, where="run"))
    assert (plan.shares, plan.seed, plan.limits.train) == ((8, 1, 1), 7, 0.25)


def test_pages_without_a_split_are_divided_by_the_shares() -> None:
    found = sizes(divide(samples(1000), [], Plan(shares=(6, 2, 2))))
    assert sum(found.values()) == 1000
    assert {name: round(count / 100) for name, count in found.items()} == {"train": 6, "eval": 2, "test": 2}


def test_a_division_of_the_label_files_is_kept() -> None:
    candidates = [*samples(5, split="train"), *samples(3, split="eval", name="e"), *samples(2, split="test", name="t")]
    assert sizes(divide(candidates, [], Plan())) == {"train": 5, "eval": 3, "test": 2}


def test_without_an_evaluation_part_that_is_taken_from_the_train_part_and_never_from_the_test_part() -> None:
    candidates = [*samples(400, split="train"), *samples(20, split="test", name="t")]
    division = divide(candidates, [], Plan(shares=(6, 2, 2)))
    assert sizes(division)["test"] == 20
    assert sizes(division)["eval"] == pytest.approx(100, abs=30)
    assert {c.split for c in division.used["eval"]} == {"train"}


def test_where_the_shares_have_no_evaluation_part_none_is_taken() -> None:
    candidates = [*samples(40, split="train"), *samples(20, split="test", name="t")]
    assert sizes(divide(candidates, [], Plan(shares=(1, 0, 1)))) == {"train": 40, "eval": 0, "test": 20}


def test_a_dataset_kept_apart_for_evaluation_leaves_all_others_to_training() -> None:
    candidates = [*samples(40), *samples(5, split="eval", name="e")]
    assert sizes(divide(candidates, [], Plan(), kept_apart=True)) == {"train": 40, "eval": 5, "test": 0}


def test_a_refused_sample_is_in_the_split_of_its_page() -> None:
    pages = samples(40)
    division = divide(pages, [refused(page.group) for page in pages], Plan())
    for name, members in division.used.items():
        assert [problem.group for problem in division.refused[name]] == [member.group for member in members]
    lost = divide(samples(40), [refused("lost.jpg"), refused(split="test"), refused()], Plan())
    assert sum(map(len, lost.refused.values())) == 3
    assert [problem.split for problem in lost.refused["test"] if problem.group is None] == ["test"]
    assert [problem.group for problem in lost.refused["train"] if problem.group is None] == [None]


def test_a_split_may_lose_as_many_as_its_own_limit_allows_and_no_more() -> None:
    limits = MaxRefused(train=0.25, eval=0.5)
    candidates = [*samples(3, split="train"), *samples(1, split="eval", name="e")]

    def divided(train: int, evaluation: int) -> Division:
        problems = [refused(split="train")] * train + [refused(split="eval")] * evaluation
        return divide(candidates, problems, Plan(limits=limits))

    divided(1, 1).require("here")
    with pytest.raises(DatasetError, match=r"2 of 5 training samples .*run\.data\.maxRefused\.train allows 25 %"):
        divided(2, 1).require("here")
    with pytest.raises(DatasetError, match=r"2 of 3 evaluation samples .*run\.data\.maxRefused\.eval allows 50 %"):
        divided(1, 2).require("here")


def test_a_dataset_without_a_sample_to_train_or_to_evaluate_on_is_refused() -> None:
    with pytest.raises(DatasetError, match=r"here has no usable sample to train on .*1 refused, the first is "):
        divide(samples(3, split="eval"), [refused(split="train")], Plan()).require("here")
    alone = divide(samples(3, split="train"), [], Plan(shares=(1, 0, 0)))
    with pytest.raises(DatasetError, match=r"here has no usable sample to evaluate on \(3 usable images\)"):
        alone.require("here")
    alone.require("here", splits=["train"])
    for name in ("eval", "test"):
        divide([*samples(3, split="train"), sample("x", split=name)], [], Plan(shares=(1, 0, 0))).require("here")


@pytest.mark.parametrize(("split", "pages"), [("train", "training"), ("eval", "evaluation"), ("test", "test")])
def test_a_split_whose_regions_are_all_ignored_is_refused(split: str, pages: str) -> None:
    candidates = [
        sample(f"{name}{n}.jpg", split=name, learnable=name != split)
        for name in ("train", "eval", "test")
        for n in range(2)
    ]
    with pytest.raises(DatasetError, match=rf"^Label\.txt:{split}0\.jpg: all regions .* all 2 {pages} pages"):
        divide(candidates, [], Plan()).require("s3://data/")


def test_one_region_that_counts_is_enough_for_a_split() -> None:
    candidates = [sample(f"{name}{n}.jpg", split=name, learnable=not n) for name in ("train", "eval") for n in range(9)]
    divide(candidates, [], Plan()).require("s3://data/")


def test_pages_whose_regions_are_all_ignored_do_not_fill_a_split() -> None:
    """As for lines: a split that would have no text borrows a page that has some."""
    seen = 0
    for seed in range(40):
        candidates = [sample(f"{n}.jpg", learnable=n < 3) for n in range(12)]
        division = divide(candidates, [], Plan(shares=(6, 2, 2), seed=seed))
        assert sum(sizes(division).values()) == 12
        division.require("s3://data/")
        seen += any(not c.learnable for c in division.used["test"])
    assert seen
