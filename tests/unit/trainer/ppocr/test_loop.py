"""When the loop looks, evaluates, saves and stops. Numbers stand for the model: none of that depends on paddle."""

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.unit.trainer.ppocr.workers import a_job, heard
from trainer.datasets.prepared import Sample
from trainer.errors import DatasetError, DivergedError, StoppedError
from trainer.ppocr.divergence import GoBackError, Guard
from trainer.ppocr.job import Job
from trainer.ppocr.loop import Loop, Operations, Reading
from trainer.ppocr.order import Item, Order
from trainer.ppocr.progress import Progress
from trainer.ppocr.refusals import Refusals
from trainer.ppocr.reporter import Reporter
from trainer.telemetry import events

Largest = Callable[[Sequence[int]], Sequence[int]]


READING, STEP, WAITING, EVALUATING, SAVING = 0.25, 0.5, 8.0, 128.0, 1024.0
"""Seconds by the model's clock: of a batch, of a step as the host sees it, of a look, an evaluation and a save."""


class Reader:
    """Reads batches, all of which it knows from the start."""

    def __init__(self, model: "Model", batches: list[list[Item]]) -> None:
        self.batches, self.open, self._model = batches, True, model
        self.before = list(model.deeds)
        """What the loop had done when it began to read."""

    def __iter__(self) -> Iterator[tuple[Mapping[str, str], list[Any]]]:
        for batch in self.batches:
            self._model.now += READING
            yield self._model.refuses, [np.array([index for _, index, _ in batch])]

    def close(self) -> None:
        self.open = False


@dataclass
class Model:
    """What the loop has done, in order. A step's loss is 1, or that of `losses`; at `spoilt_at` the weights are NaN."""

    progress: Progress
    job: Job
    losses: Mapping[int, float] = field(default_factory=dict)
    stop_at: int | None = None
    refuses: Mapping[str, str] = field(default_factory=dict)
    together: Largest = list
    spoilt_at: int | None = None
    deeds: list[str] = field(default_factory=list)
    decisions: list[list[int]] = field(default_factory=list)
    seen: list[int] = field(default_factory=list)
    now: float = 0.0
    reading: Reader | None = None
    slower: float = 0.0
    """Seconds that a step takes longer by the clock of this rank."""

    def clock(self) -> float:
        return self.now

    def read(self, batches: Iterator[list[Item]]) -> Reading:
        self.reading = Reader(self, list(batches))
        return self.reading

    def step(self, tensors: Sequence[Any]) -> dict[str, Any]:
        number = self.progress.step + 1
        self.now += STEP + self.slower
        self.seen += [int(index) for index in tensors[0]]
        self.deeds.append(f"step {number}")
        if number == self.stop_at:
            self.job._signals.append(15)
        return {"loss": np.array(self.losses.get(number, 1.0))}

    def read_losses(self, losses: Sequence[Any]) -> list[float]:
        """Wait for the device, which is behind the host."""
        self.now += WAITING
        return [float(loss) for loss in losses]

    def skip(self, count: int) -> None:
        if count:
            self.deeds.append(f"skip {count}")

    def finite(self) -> bool:
        return self.spoilt_at is None or self.progress.step < self.spoilt_at

    def evaluate(self) -> None:
        self.now += EVALUATING
        self.deeds.append(f"evaluate {self.progress.step}")
        self.progress.evaluations.append({"step": self.progress.step})

    def save(self) -> None:
        self.now += SAVING
        self.deeds.append(f"save {self.progress.step}")

    def largest(self, values: Sequence[int]) -> Sequence[int]:
        values = [int(value) for value in values]
        self.decisions.append(list(values))
        return self.together(values)


def a_loop(
    job: Job,
    model: Model,
    *,
    order: Order | None = None,
) -> Loop:
    """Make the loop of a model on four samples a rank, one a step."""
    progress, order = model.progress, order or Order(count=4 * job.world, batch=1, world=job.world, seed=1)
    samples = [Sample(image=Path("x"), label="x", source=f"rec.txt:{n}", width=1, height=1) for n in range(order.count)]
    return Loop(
        job,
        progress,
        order,
        guard=Guard(
            progress=progress,
            samples=samples,
            read=model.read_losses,
            finite=model.finite,
            largest=model.largest,
            checkpoint=lambda: 0,
        ),
        refusals=Refusals(job, progress),
        reporter=Reporter(job, progress, order, memory=lambda: None, clock=model.clock),
        operations=Operations(
            read=model.read,
            step=model.step,
            skip=model.skip,
            lr=lambda: 0.25,
            evaluate=model.evaluate,
            save=model.save,
            largest=model.largest,
        ),
        clock=model.clock,
    )


def every(steps: str = "100steps", evaluate: str = "1ep") -> dict[str, Any]:
    return {"checkpoint": {"every": steps}, "train": {"evaluateEvery": evaluate}}


def test_a_run_evaluates_and_saves_when_that_is_due(tmp_path: Path) -> None:
    """And before its first step, to have a state to go back to."""
    job = a_job(tmp_path, epochs=2, **every("3steps"))
    model = Model(Progress(), job)
    a_loop(job, model).run()
    assert " ".join(model.deeds) == (
        "save 0 step 1 step 2 step 3 save 3 step 4 evaluate 4 step 5 step 6 save 6 step 7 step 8 evaluate 8"
    )
    assert sorted(model.seen[:4]) == sorted(model.seen[4:]) == [0, 1, 2, 3]


def test_what_it_ends_with_is_evaluated(tmp_path: Path) -> None:
    job = a_job(tmp_path, epochs=1, **every(evaluate="3steps"))
    model = Model(Progress(), job)
    a_loop(job, model).run()
    assert [deed for deed in model.deeds if "evaluate" in deed] == ["evaluate 3", "evaluate 4"]


@pytest.mark.parametrize(("device", "looks"), [("cpu", 12), ("gpu", 2)])
def test_a_gpu_is_looked_at_every_ten_steps_and_where_something_is_due(tmp_path: Path, device: str, looks: int) -> None:
    """Each look waits for the device. Here: at step 10, and at the end of the epoch."""
    job = a_job(tmp_path, epochs=1, device=device, **every())
    model = Model(Progress(), job)
    a_loop(job, model, order=Order(count=12, batch=1, world=1, seed=1)).run()
    assert len([decision for decision in model.decisions if len(decision) == 3]) == looks


def test_time_is_measured_from_look_to_look_without_evaluations_and_saves(tmp_path: Path) -> None:
    """A GPU is behind the host: most of a step's time is what the next look waits for it."""
    job = a_job(tmp_path, epochs=2, device="gpu", **every("10steps"))
    model = Model(Progress(), job)
    a_loop(job, model, order=Order(count=20, batch=1, world=1, seed=1)).run()
    laps = [event for event in heard(job) if isinstance(event, events.Step)]
    assert [event.step for event in laps] == [10, 20, 30, 40]
    assert {event.seconds for event in laps} == {10 * (READING + STEP) + WAITING}
    assert {event.reader_seconds for event in laps} == {10 * READING}
    assert {(event.count, event.samples) for event in laps} == {(10, 10)}
    assert model.progress.seconds == 40 * (READING + STEP) + 4 * WAITING
    assert model.deeds.count("evaluate 20") == model.deeds.count("save 10") == 1


def test_a_worker_that_is_told_to_stop_saves_and_leaves_the_evaluation_to_the_next_attempt(tmp_path: Path) -> None:
    job = a_job(tmp_path, epochs=1, **every(evaluate="2steps"))
    model = Model(Progress(), job, stop_at=2)
    with pytest.raises(StoppedError, match=r"Stopped after step 2\. The state is saved"):
        a_loop(job, model).run()
    assert model.deeds == ["save 0", "step 1", "step 2", "save 2"]
    job._signals.clear()
    resumed = Model(model.progress, job)
    a_loop(job, resumed).run()
    assert resumed.deeds == ["evaluate 2", "step 3", "step 4", "evaluate 4"]
    assert sorted(model.seen + resumed.seen) == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("rank", "deeds"),
    [
        (0, "save 0 step 1 step 2 save 2 step 3 step 4 evaluate 4 save 4"),
        (1, "save 0 step 1 step 2 step 3 step 4 evaluate 4"),
    ],
)
def test_a_checkpoint_is_due_by_the_clock_of_rank_0_alone(tmp_path: Path, rank: int, deeds: str) -> None:
    """Before its look, step 2 ends after 9.5 s. The other rank's clock says the same, but it waits to be told."""
    job = a_job(tmp_path, rank=rank, world=2, epochs=1, **every("9s"))
    model = Model(Progress(), job)
    a_loop(job, model).run()
    assert " ".join(model.deeds) == deeds


@pytest.mark.parametrize("due", ["save", "evaluate"])
def test_weights_that_are_not_finite_are_neither_saved_nor_evaluated(tmp_path: Path, due: str) -> None:
    job = a_job(tmp_path, epochs=1, **every(**{"steps" if due == "save" else due: "2steps"}))
    model = Model(Progress(), job, spoilt_at=2)
    with pytest.raises(GoBackError, match="The weights are not finite after step 2"):
        a_loop(job, model).run()
    assert model.deeds == ["save 0", "step 1", "step 2"]


def test_refused_samples_are_reported_with_the_checkpoint_that_has_them(tmp_path: Path) -> None:
    job = a_job(tmp_path, epochs=1, data={"train": "s3://d/", "maxRefused": {"train": 1.0}}, **every("2steps"))
    a_loop(job, Model(Progress(), job, refuses={"rec.txt:1": "unreadable"})).run()
    refused = [event for event in heard(job) if isinstance(event, events.Refused)]
    assert refused == [events.Refused(rank=0, count=1, examples={"rec.txt:1": "unreadable"})]


def test_batches_that_are_left_out_count_as_done(tmp_path: Path) -> None:
    """In the middle of an epoch and at its end: step numbers and schedules stay where they were."""
    skipped = [{"epoch": 1, "part": 0, "place": place, "step": place + 1} for place in (1, 3)]
    job = a_job(tmp_path, epochs=2, **every())
    model = Model(Progress(skipped=skipped), job)
    a_loop(job, model).run()
    assert " ".join(model.deeds) == ("step 1 skip 1 step 3 skip 1 evaluate 4 step 5 step 6 step 7 step 8 evaluate 8")
    assert model.progress.step == 8
    assert [entry["step"] for entry in model.progress.losses] == [1, 3, 5, 6, 7, 8]


def test_an_epoch_of_which_every_batch_is_left_out_is_passed_over(tmp_path: Path) -> None:
    skipped = [{"epoch": 1, "part": 0, "place": place, "step": place + 1} for place in range(4)]
    job = a_job(tmp_path, epochs=2, **every())
    model = Model(Progress(skipped=skipped), job)
    a_loop(job, model).run()
    assert model.deeds[:2] == ["skip 4", "step 5"]


def test_batches_of_the_distillation_before_are_not_left_out_again(tmp_path: Path) -> None:
    """A network that trains alone counts its epochs anew."""
    skipped = [{"epoch": 1, "part": 0, "place": 3, "step": 4}]
    job = a_job(tmp_path, epochs=1, **every())
    model = Model(Progress(skipped=skipped, step=4, alone_since=4), job)
    a_loop(job, model).run()
    assert sorted(model.seen) == [0, 1, 2, 3]


def test_what_another_gang_did_of_an_epoch_is_not_done_again(tmp_path: Path) -> None:
    job = a_job(tmp_path, epochs=1, **every())
    order = Order(count=4, batch=1, world=1, seed=1)
    other = Order(count=4, batch=2, world=1, seed=1)
    done = [int(index) for index in other.epoch(1)[0]]
    model = Model(Progress(step=1, taken=[(2, 1)]), job)
    a_loop(job, model, order=order).run()
    assert sorted(done + model.seen) == [0, 1, 2, 3]
    assert model.progress.step == 3


@pytest.mark.parametrize(
    "progress",
    [
        Progress(),
        Progress(step=2, step_in_epoch=2),
        Progress(step=5, epoch=2, taken=[(2, 1)]),
        Progress(skipped=[{"epoch": 2, "part": 0, "place": 1, "step": 6}]),
        Progress(step=12, epoch=4),
    ],
    ids=["from the start", "in the middle of an epoch", "after another gang", "without a batch", "at the end"],
)
def test_the_batches_of_all_epochs_to_come_are_read_from_the_start(tmp_path: Path, progress: Progress) -> None:
    """Before the first save and the first evaluation, and in the order of the steps."""
    job = a_job(tmp_path, epochs=3, **every())
    model = Model(progress, job)
    a_loop(job, model).run()
    assert model.reading is not None
    assert model.reading.before == []
    assert [index for batch in model.reading.batches for _, index, _ in batch] == model.seen
    epochs = [epoch for batch in model.reading.batches for epoch, _, _ in batch]
    assert epochs == sorted(epochs)
    assert not model.reading.open


@pytest.mark.parametrize(
    ("fails", "error"),
    [({"stop_at": 2}, StoppedError), ({"losses": {2: float("nan")}}, GoBackError), ({"spoilt_at": 0}, DivergedError)],
    ids=["stopped", "goes back", "before the first step"],
)
def test_reading_ends_with_the_loop_however_that_ends(
    tmp_path: Path, fails: dict[str, Any], error: type[Exception]
) -> None:
    job = a_job(tmp_path, epochs=2, **every())
    model = Model(Progress(), job, **fails)
    with pytest.raises(error):
        a_loop(job, model).run()
    assert model.reading is not None
    assert not model.reading.open


def test_samples_that_cannot_be_used_end_the_run_at_the_limit(tmp_path: Path) -> None:
    job = a_job(tmp_path, epochs=1, **every())
    model = Model(Progress(), job, refuses={"rec.txt:1": "unreadable"})
    with pytest.raises(DatasetError, match=r"run\.data\.maxRefused"):
        a_loop(job, model).run()
    assert model.deeds == ["save 0"]


class Gang:
    """Two ranks in two threads: each decision waits for the other's."""

    def __init__(self) -> None:
        self._barrier = threading.Barrier(2, timeout=5)
        self._values: dict[int, Sequence[int]] = {}

    def largest(self, rank: int) -> Largest:
        def together(values: Sequence[int]) -> Sequence[int]:
            self._values[rank] = values
            self._barrier.wait()
            found = [max(pair) for pair in zip(*self._values.values(), strict=True)]
            self._barrier.wait()
            return found

        return together


def train_two(
    tmp_path: Path, *, run: dict[str, Any] | None = None, **model: Any
) -> dict[int, tuple[Model, Exception | None]]:
    """Train two ranks to their end; what `model` has is rank 1's alone."""
    gang = Gang()
    ended: dict[int, tuple[Model, Exception | None]] = {}

    def train(rank: int) -> None:
        job = a_job(tmp_path / str(rank), rank=rank, world=2, epochs=1, **(run or every("3steps")))
        one = Model(Progress(), job, together=gang.largest(rank), **(model if rank else {}))
        try:
            a_loop(job, one).run()
        # A rank that decides alone waits for the other in vain, or hears of another decision.
        except (StoppedError, GoBackError, threading.BrokenBarrierError, ValueError) as error:
            ended[rank] = one, error
        else:
            ended[rank] = one, None

    threads = [threading.Thread(target=train, args=(rank,)) for rank in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return ended


def test_ranks_do_the_same_and_see_other_samples(tmp_path: Path) -> None:
    (first, _), (second, _) = (train_two(tmp_path)[rank] for rank in (0, 1))
    assert first.deeds == second.deeds
    assert first.decisions == second.decisions
    assert sorted(first.seen + second.seen) == list(range(8))


def test_ranks_whose_clocks_differ_evaluate_and_save_together(tmp_path: Path) -> None:
    """Each evaluation has calls that wait for the other rank."""
    ended = train_two(tmp_path, run=every("9s", evaluate="9s"), slower=100.0)
    for model, error in ended.values():
        assert error is None
        # By rank 0's clock: the first save alone takes longer than an evaluation may wait.
        assert " ".join(model.deeds) == (
            "save 0 step 1 evaluate 1 step 2 save 2 step 3 evaluate 3 step 4 save 4 evaluate 4"
        )


def test_a_signal_to_one_rank_stops_all_on_the_same_step(tmp_path: Path) -> None:
    ended = train_two(tmp_path, stop_at=2)
    for model, error in ended.values():
        assert isinstance(error, StoppedError)
        assert model.deeds == ["save 0", "step 1", "step 2", "save 2"]


def test_a_loss_that_is_not_finite_on_one_rank_sends_all_back(tmp_path: Path) -> None:
    """Nothing of that step is evaluated or saved, though both are due."""
    ended = train_two(tmp_path, losses={3: float("nan")})
    errors = [error for _, error in ended.values()]
    for model, error in ended.values():
        assert isinstance(error, GoBackError)
        assert [entry["step"] for entry in error.skipped] == [2, 3]
        assert model.deeds == ["save 0", "step 1", "step 2", "step 3"]
    assert errors[0].skipped == errors[1].skipped  # type: ignore[union-attr]
