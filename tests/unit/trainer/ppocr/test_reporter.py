"""What is reported of a training: events, the history of losses, and training.json."""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.unit.trainer.ppocr.workers import a_job, heard
from trainer.ppocr.feeding import Feeding
from trainer.ppocr.job import Job
from trainer.ppocr.order import Order
from trainer.ppocr.progress import Progress
from trainer.ppocr.reporter import Reporter
from trainer.ppocr.selection import Evaluation
from trainer.telemetry import events

EVALUATION = Evaluation(
    step=3,
    epoch=1,
    metrics={"acc": 0.5, "norm_edit_dis": 0.75},
    best=True,
    network="Student",
    networks={"Student": {"acc": 0.5}, "Teacher": {"acc": 0.25}},
)


FEEDING = Feeding(rank=1, readers=2, seconds=100.0, waited=1.0, busy=50.0)


def an_order(*, world: int = 1) -> Order:
    """Make an order of four samples a rank, one a step."""
    return Order(count=4 * world, batch=1, world=world, seed=1)


def a_reporter(
    job: Job,
    progress: Progress | None = None,
    *,
    memory: int | None = None,
    clock: Callable[[], float] = float,
    moment: Callable[[], Any] | None = None,
) -> Reporter:
    order = an_order(world=job.world)
    return Reporter(job, progress or Progress(), order, memory=lambda: memory, clock=clock, moment=moment)


def test_the_start_says_what_is_trained_and_where_it_resumes(tmp_path: Path) -> None:
    job = a_job(tmp_path, world=2)
    a_reporter(job, Progress(step=5)).started("Training", samples=8, precision="fp32")
    assert heard(job) == [
        events.Started(
            rank=0,
            what="Training",
            samples=8,
            epochs=3,
            steps_per_epoch=4,
            batch=1,
            devices=2,
            precision="fp32",
            step=5,
        )
    ]


def step_of(job: Job) -> events.Step:
    (event,) = (event for event in heard(job) if isinstance(event, events.Step))
    return event


def test_the_steps_between_two_looks_are_one_event(tmp_path: Path) -> None:
    """The losses of the last step by parts; what is not a tensor is left out."""
    job, progress = a_job(tmp_path, world=2), Progress()
    reporter = a_reporter(job, progress, memory=7)
    for _ in range(3):
        progress.count_steps(1)
        reporter.count_step(5)
    losses = {"loss": np.array(1.23456789), "part": np.array([1.0, 2.0]), "name": "x"}
    reporter.looked(losses, step=3, epoch=1, lr=0.25)
    event = step_of(job)
    assert (event.step, event.steps, event.epoch, event.epochs) == (3, 12, 1, 3)
    assert (event.loss, event.lr) == ({"loss": 1.23456789, "part": 1.5}, 0.25)
    assert (event.count, event.samples, event.device_memory_bytes) == (3, 15, 7)
    assert progress.samples == 30
    assert progress.losses == [{"step": 3, "epoch": 1, "loss": 1.234568, "lr": 0.25}]


def test_a_lap_begins_with_nothing(tmp_path: Path) -> None:
    job, progress = a_job(tmp_path), Progress()
    reporter = a_reporter(job, progress)
    for step in (1, 2):
        progress.count_steps(1)
        reporter.count_step(5)
        reporter.looked({"loss": np.array(1.0)}, step=step, epoch=1, lr=0.25)
    first, second = heard(job)
    assert isinstance(first, events.Step)
    assert isinstance(second, events.Step)
    assert (first.count, second.count, second.samples) == (1, 1, 5)


def test_a_lap_lasts_from_one_look_to_the_next_without_pauses(tmp_path: Path) -> None:
    """What comes after the losses are read, such as waiting for other ranks, counts for the next lap."""
    # When it is made, when it starts; a look; a pause from 10 to 50; a look.
    now = iter([0.0, 3.0, 8.0, 10.0, 50.0, 52.0])
    job, progress = a_job(tmp_path), Progress(seconds=100.0)
    reporter = a_reporter(job, progress, clock=lambda: next(now))
    reporter.started("Training", samples=4, precision="fp32")
    for step in (1, 2):
        reporter.count_step(1)
        reporter.end_lap()
        reporter.looked({"loss": np.array(1.0)}, step=step, epoch=1, lr=0.25)
        if step == 1:
            with reporter.paused():
                pass
    laps = [event for event in heard(job) if isinstance(event, events.Step)]
    assert [event.seconds for event in laps] == [5.0, 4.0]
    assert progress.seconds == 109.0


def test_the_reader_is_waited_for_only_while_a_batch_is_asked_for(tmp_path: Path) -> None:
    now = iter([0.0, 1.0, 3.0, 20.0, 21.0, 40.0])
    job = a_job(tmp_path)
    reporter = a_reporter(job, clock=lambda: next(now))
    assert list(reporter.reading(iter("ab"))) == ["a", "b"]
    reporter.looked({"loss": np.array(1.0)}, step=2, epoch=1, lr=0.25)
    assert step_of(job).reader_seconds == 2.0 + 1.0


class Device:
    """A device that works behind the host, and knows when it has done all that it was given."""

    def __init__(self) -> None:
        self.host = self.done = 0.0

    def give(self, seconds: float) -> None:
        self.done = max(self.done, self.host) + seconds

    def moment(self) -> float:
        """Return when a mark in its queue is passed."""
        return max(self.done, self.host)


def test_a_device_that_still_has_work_does_not_wait(tmp_path: Path) -> None:
    """The host waits 5 s for each of two batches; the device has 3 s of work in the first, and 9 s in the second."""
    job, device = a_job(tmp_path, device="gpu"), Device()
    reporter = a_reporter(job, clock=lambda: device.host, moment=device.moment)

    def batches() -> Iterator[str]:
        for name in "ab":
            device.host += 5.0
            yield name

    device.give(3.0)
    for _ in reporter.reading(batches()):
        device.give(9.0)
        reporter.count_step(5)
    reporter.end_lap()
    reporter.looked({"loss": np.array(1.0)}, step=2, epoch=1, lr=0.25)
    assert step_of(job).reader_seconds == 2.0


def test_how_the_device_was_fed_is_counted_from_look_to_look(tmp_path: Path) -> None:
    # When it is made; asked and ready, twice, each with a look; asked for more than there is.
    now = iter([0.0, 1.0, 3.0, 5.0, 6.0, 8.0, 9.0, 10.0, 20.0])
    job, progress = a_job(tmp_path, rank=1, world=2), Progress(seconds=100.0)
    reporter = a_reporter(job, progress, clock=lambda: next(now))
    for _ in reporter.reading(iter("ab")):
        reporter.busy(1.5)
        reporter.count_step(5)
        reporter.end_lap()
        reporter.looked({"loss": np.array(1.0)}, step=1, epoch=1, lr=0.25)
    assert reporter.feeding(readers=4) == Feeding(rank=1, readers=4, seconds=9.0, waited=4.0, busy=3.0)


def test_each_rank_reports_its_steps_and_rank_0_the_rest(tmp_path: Path) -> None:
    job, progress = a_job(tmp_path, rank=1, world=2), Progress(best={"step": 1})
    reporter = a_reporter(job, progress)
    reporter.started("Training", samples=8, precision="fp32")
    reporter.count_step(5)
    reporter.looked({"loss": np.array(1.0)}, step=1, epoch=1, lr=0.25)
    reporter.evaluated(EVALUATION, seconds=1.0)
    reporter.saved(seconds=1.0)
    reporter.finished(digest="d", feeding=FEEDING, more={})
    assert [type(event) for event in heard(job)] == [events.Step]
    assert progress.losses == []
    assert not job.work.training_facts.exists()


@pytest.mark.parametrize(
    ("progress", "steps"),
    [
        (Progress(step=6, epoch=2, step_in_epoch=2), 12),
        # Another gang did half of the second epoch in one step.
        (Progress(step=5, epoch=2, taken=[(2, 1)]), 11),
        (Progress(step=9, epoch=3, step_in_epoch=1), 12),
        (Progress(step=12, epoch=4), 12),
    ],
    ids=["as planned", "after another gang", "in the last epoch", "at the end"],
)
def test_the_steps_of_the_run_are_those_done_and_those_to_come(tmp_path: Path, progress: Progress, steps: int) -> None:
    job = a_job(tmp_path)
    a_reporter(job, progress).looked({"loss": np.array(1.0)}, step=progress.step, epoch=1, lr=0.25)
    assert step_of(job).steps == steps


def test_an_evaluation_has_the_main_metric_of_each_network(tmp_path: Path) -> None:
    job = a_job(tmp_path)
    a_reporter(job).evaluated(EVALUATION, seconds=2.0)
    assert heard(job) == [
        events.Evaluated(
            rank=0,
            step=3,
            epoch=1,
            metrics={"acc": 0.5, "norm_edit_dis": 0.75, "Student_acc": 0.5, "Teacher_acc": 0.25},
            best=True,
            seconds=2.0,
            network="Student",
            networks=EVALUATION.networks,
        )
    ]


def test_a_checkpoint_is_reported_with_its_step(tmp_path: Path) -> None:
    job = a_job(tmp_path)
    a_reporter(job, Progress(step=3)).saved(seconds=2.0)
    assert heard(job) == [events.Checkpointed(rank=0, step=3, seconds=2.0)]


def test_training_json_is_the_whole_history(tmp_path: Path) -> None:
    """The result of the stage has the best evaluation and the steps alone."""
    job = a_job(tmp_path, world=2)
    losses, evaluations = [{"step": 1, "loss": 1.0}], [EVALUATION.entry()]
    progress = Progress(
        step=12,
        samples=24,
        seconds=1.23456,
        best=EVALUATION.summary(),
        losses=losses,
        evaluations=evaluations,
        refused={"a": "unreadable"},
        skipped=[{"step": 2}],
    )
    more = {"distillation": {"picked": "Student"}}
    result = a_reporter(job, progress).finished(digest="d" * 64, feeding=FEEDING, more=more)
    assert result == {"best": EVALUATION.summary(), "steps": 12}
    facts: dict[str, Any] = json.loads(job.work.training_facts.read_text("utf-8"))
    assert facts == {
        "history": {"loss": losses, "eval": evaluations},
        "best": EVALUATION.summary(),
        "steps": 12,
        "epochs": 3,
        "samples": 24,
        "seconds": 1.235,
        "reading": {
            "rank": 1,
            "readers": 2,
            "seconds": 100.0,
            "reader_wait_seconds": 1.0,
            "reader_cpu_seconds": 50.0,
        },
        "world_size": 2,
        "device": "cpu",
        "parameters_sha256": "d" * 64,
        "refused": {"a": "unreadable"},
        "skipped_batches": [{"step": 2}],
        "distillation": {"picked": "Student"},
    }


def test_the_last_word_is_what_limited_the_speed(tmp_path: Path) -> None:
    """Unless no step was done, as where a run resumes at its end."""
    job = a_job(tmp_path, world=2)
    reporter = a_reporter(job, Progress(best=EVALUATION.summary()))
    reporter.finished(digest="d", feeding=replace(FEEDING, seconds=0.0, waited=0.0), more={})
    assert heard(job) == []
    reporter.finished(digest="d", feeding=FEEDING, more={})
    assert heard(job) == [events.Notice(rank=0, message=FEEDING.sentence(world=2))]
