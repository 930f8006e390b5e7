"""Samples that cannot be used: the limit, and that a user sees each once."""

from dataclasses import asdict
from pathlib import Path

import pytest

from tests.unit.trainer.ppocr.workers import a_job, heard
from trainer.errors import DatasetError
from trainer.ppocr.progress import Progress
from trainer.ppocr.refusals import Refusals
from trainer.telemetry import events

ALL = {"train": "s3://d/", "maxRefused": {"train": 1.0}}


def gather(*ranks: Progress) -> None:
    """Bring the refused samples of all ranks together, as a save does."""
    merged = {source: why for progress in ranks for source, why in progress.refused.items()}
    for progress in ranks:
        progress.refused = dict(merged)


def test_each_refused_sample_is_reported_once_for_all_ranks(tmp_path: Path) -> None:
    """The same on every rank, as screened ones are, and met by one rank after another, as unreadable ones are."""
    jobs = [a_job(tmp_path / str(rank), rank=rank, world=2, data=ALL) for rank in (0, 1)]
    progress = [Progress(), Progress()]
    refusals = [Refusals(job, each) for job, each in zip(jobs, progress, strict=True)]
    for each in refusals:
        each.add({"a": "too long"})
    refusals[1].add({"b": "unreadable"})
    for _ in range(2):
        gather(*progress)
        for each in refusals:
            each.report()
        # In a later epoch the sample is the other rank's.
        refusals[0].add({"b": "unreadable"})
    assert heard(jobs[0]) == [events.Refused(rank=0, count=2, examples={"a": "too long", "b": "unreadable"})]
    assert heard(jobs[1]) == []


def test_what_a_checkpoint_has_is_not_reported_again(tmp_path: Path) -> None:
    """It was reported when the checkpoint was saved; screening finds it again in each attempt."""
    job = a_job(tmp_path, data=ALL)
    progress = Progress(**asdict(Progress(refused={"a": "too long"})))
    refusals = Refusals(job, progress)
    refusals.add({"a": "too long", "b": "unreadable"})
    refusals.report()
    assert heard(job) == [events.Refused(rank=0, count=1, examples={"b": "unreadable"})]


def test_an_event_names_five_and_counts_all(tmp_path: Path) -> None:
    job, progress = a_job(tmp_path, data=ALL, counts={"train": 99}), Progress()
    refusals = Refusals(job, progress)
    refusals.add({f"line {n}": "too long" for n in range(7)})
    refusals.report()
    (event,) = heard(job)
    assert isinstance(event, events.Refused)
    assert (event.count, list(event.examples)) == (7, [f"line {n}" for n in range(5)])
    assert len(progress.refused) == 7


def test_the_limit_counts_what_prepare_has_left_out(tmp_path: Path) -> None:
    """Of 10 samples at most 3: one was left out before; those of another split do not count."""
    before = [{"source": "x", "reason": "empty", "split": split} for split in ("train", "eval", "eval")]
    job = a_job(tmp_path, data={"train": "s3://d/", "maxRefused": {"train": 0.3}}, counts={"train": 9}, refused=before)
    refusals = Refusals(job, Progress())
    refusals.add({"a": "unreadable", "b": "unreadable"})
    refusals.add({"a": "unreadable"})
    with pytest.raises(DatasetError, match=r"4 of 10 training samples .* allows 30 %\. One of them is c: a reason\."):
        refusals.add({"c": "a reason"})
