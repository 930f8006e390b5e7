"""The training loop: steps, evaluations, checkpoints, and a clean stop on the same step of every rank.

PaddleOCR's own loop is not used (house rule 8). Decisions that depend on a clock, a signal or a loss are made together:
every few steps one small all-reduce tells each rank whether to stop, to save, or to go back. Paddle-free: the caller
passes what needs paddle as `Operations`.
"""

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from trainer.errors import StoppedError
from trainer.ppocr.divergence import Guard
from trainer.ppocr.job import Job
from trainer.ppocr.order import Batch, Item, Order
from trainer.ppocr.progress import Progress
from trainer.ppocr.refusals import Refusals
from trainer.ppocr.reporter import Reporter
from trainer.run.interval import Due

Arrays = Sequence[Any]
"""A batch, not on the device yet."""
Losses = Mapping[str, Any]
"""The losses of a step by parts, not read yet; `loss` is their sum."""


class Reading(Protocol):
    """Batches that are read ahead: the samples refused on the way, and the arrays."""

    def __iter__(self) -> Iterator[tuple[Mapping[str, str], Arrays]]: ...

    def close(self) -> None:
        """End what reads them."""


_SAVE, _EVALUATE = 1, 2
"""What rank 0 tells the others to do when its clock says so; both are in one number."""


@dataclass(frozen=True, kw_only=True)
class Operations:
    """What the loop needs paddle for."""

    read: Callable[[Iterator[list[Item]]], Reading]
    """Starts to read this rank's part of each batch."""

    step: Callable[[Arrays], Losses]
    """Does a step on this rank's part of a batch."""

    skip: Callable[[int], None]
    """Moves the learning rate on by so many steps."""

    lr: Callable[[], float]
    """Returns the learning rate."""

    evaluate: Callable[[], None]
    """Evaluates the model, and keeps it if it is the best."""

    save: Callable[[], None]
    """Saves a checkpoint."""

    largest: Callable[[Sequence[int]], Sequence[int]]
    """Returns the largest of each value over the ranks."""


@dataclass(frozen=True, kw_only=True)
class _Done:
    """A step that was done."""

    step: int
    epoch: int
    losses: Losses


class Loop:
    """Trains from where `progress` stands to the last epoch. All ranks do the same at each step."""

    def __init__(
        self,
        job: Job,
        progress: Progress,
        order: Order,
        *,
        guard: Guard,
        refusals: Refusals,
        reporter: Reporter,
        operations: Operations,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Prepare the loop.

        Args:
            job: this worker's view of the run.
            progress: where it stands.
            order: its batches.
            guard: watches the steps.
            refusals: takes the samples that cannot be used.
            reporter: reports the steps.
            operations: what needs paddle.
            clock: decides what is due by time.
        """
        self._job, self._progress, self._order = job, progress, order
        self._guard, self._refusals, self._reporter, self._operations = guard, refusals, reporter, operations
        self._saving = Due(job.run.checkpoint.every, clock=clock)
        self._evaluating = Due(job.run.train.evaluate_every, clock=clock)
        # Reading a loss waits for the device: rarely on a GPU, where it costs; always on CPU, where it does not.
        self._look_every = 10 if job.device == "gpu" else 1

    def run(self) -> None:
        """Train to the last epoch, and evaluate what it ends with.

        Raises:
            StoppedError: a signal came; the state is saved.
            GoBackError: a loss or a weight is not finite.
            DivergedError: the same, for the second time.
            DatasetError: more samples are unusable than `run.data.maxRefused` allows.
        """
        # From here on they read ahead: during the first save and evaluation, and from each epoch into the next.
        with contextlib.closing(self._operations.read(self._items(replace(self._progress)))) as batches:
            self._train(self._reporter.reading(batches))

    def _train(self, reading: Iterator[tuple[Mapping[str, str], Arrays]]) -> None:
        progress = self._progress
        if not progress.step and not progress.skipped:
            # To go back to; and a disk or a bucket that takes no checkpoint is found before time is spent.
            self.save()
        if self._due(self._evaluating) and progress.evaluated != progress.step:
            # The attempt before was told to stop when this evaluation was due.
            self._evaluate()
        while progress.epoch <= self._job.epochs:
            self._train_epoch(reading)
        if progress.evaluated != progress.step:
            self._evaluate()

    def save(self) -> None:
        """Save a checkpoint of finite weights."""
        with self._reporter.paused():
            self._guard.check_weights()
            self._operations.save()
        self._refusals.report()
        self._saving.done()

    def _evaluate(self) -> None:
        with self._reporter.paused():
            self._guard.check_weights()
            self._operations.evaluate()
        self._evaluating.done()

    def _train_epoch(self, reading: Iterator[tuple[Mapping[str, str], Arrays]]) -> None:
        """Train on the batches of the epoch that are still to come."""
        progress, steps = self._progress, self._order.steps_left(self._progress.taken)
        batches = self._batches(progress)
        for batch in batches:
            refused, arrays = next(reading)
            self._refusals.add(refused)
            self._pass_over(batch.place - progress.step_in_epoch)
            done = self._step(batch, arrays)
            if batch is batches[-1]:
                self._end_epoch(steps)
            self._reporter.count_step(arrays[0].shape[0])
            self._look_if_due(done)
        if not batches:
            self._end_epoch(steps)

    def _items(self, at: Progress) -> Iterator[list[Item]]:
        """Yield this rank's part of each batch that is still to come, from a copy of the progress to the last epoch."""
        while at.epoch <= self._job.epochs:
            for batch in self._batches(at):
                yield self._order.items(batch.samples, rank=self._job.rank, epoch=batch.epoch)
            at.end_epoch()

    def _batches(self, at: Progress) -> list[Batch]:
        """Return the batches of an epoch that are still to come, without those that are left out."""
        part, since = len(at.taken), at.alone_since or 0
        plan = self._order.epoch(at.epoch, taken=at.taken)
        left_out = {(each["epoch"], each["part"], each["place"]) for each in at.skipped if each["step"] > since}
        return [
            Batch(epoch=at.epoch, part=part, place=place, samples=plan[place])
            for place in range(at.step_in_epoch, len(plan))
            if (at.epoch, part, place) not in left_out
        ]

    def _step(self, batch: Batch, arrays: Arrays) -> _Done:
        losses = self._operations.step(arrays)
        self._progress.count_steps(1)
        step = self._progress.step
        self._guard.watch(step, batch, losses["loss"])
        return _Done(step=step, epoch=batch.epoch, losses=losses)

    def _pass_over(self, count: int) -> None:
        """Count batches as done that are left out, so that schedules stay where they were."""
        self._progress.count_steps(count)
        self._operations.skip(count)

    def _end_epoch(self, steps: int) -> None:
        self._pass_over(steps - self._progress.step_in_epoch)
        self._progress.end_epoch()

    def _look_if_due(self, done: _Done) -> None:
        """Check whether training diverged, then evaluate, save and stop as all ranks agree."""
        step = self._progress.step
        evaluate, save = self._due(self._evaluating), self._due(self._saving)
        if not (evaluate or save or self._progress.whole_epochs or step % self._look_every == 0):
            return
        timed = _SAVE * self._due_by_clock(self._saving) + _EVALUATE * self._due_by_clock(self._evaluating)
        found = self._guard.look()
        self._reporter.end_lap()
        stop, timed, bad = self._operations.largest([self._job.stopping(), timed, found])
        self._guard.check_losses(bad)
        self._reporter.looked(done.losses, step=done.step, epoch=done.epoch, lr=self._operations.lr())
        if (evaluate or timed & _EVALUATE) and not stop:
            self._evaluate()
        if save or timed & _SAVE or stop:
            self.save()
        if stop:
            raise StoppedError(f"Stopped after step {step}. The state is saved: run it again to resume.")

    def _due(self, event: Due) -> bool:
        """Whether something is due by steps or epochs, which are the same on every rank."""
        progress = self._progress
        return not event.by_clock and event.at(progress.step, epochs=progress.whole_epochs)

    def _due_by_clock(self, event: Due) -> bool:
        """Whether something is due by time. Clocks differ, so the others wait for rank 0 to decide."""
        return event.by_clock and self._job.rank == 0 and event.at(self._progress.step, epochs=None)
