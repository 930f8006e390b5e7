"""Reports training: events for the supervisor, the history of losses, times, and `training.json`. Paddle-free.

Time is measured from look to look, after the losses have been read. A GPU works behind the host: a step returns before
it is computed, and the time that it takes shows where its loss is read. In the same way the host may wait for a batch
while the GPU still has work, so what counts as waiting for samples is measured by the GPU's own clock: from the end of
all that it was given before the batch was asked for, to the moment when the batch was ready. On CPU the two are one.
"""

import contextlib
import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from trainer.ppocr.feeding import Feeding
from trainer.ppocr.job import Job
from trainer.ppocr.order import Order
from trainer.ppocr.progress import Progress
from trainer.ppocr.selection import Evaluation
from trainer.system import atomic
from trainer.telemetry import events

Item = TypeVar("Item")


@dataclass
class _Lap:
    """The steps since the last look."""

    count: int = 0
    samples: int = 0
    """Of this rank."""

    seconds: float = 0.0

    waits: list[tuple[Any, Any]] = field(default_factory=list)
    """When each batch was asked for, and when it was ready. Not read yet: on a GPU that would wait for the device."""


class Reporter:
    """Reports the training of this worker; what is the same on every rank is reported by rank 0 alone."""

    def __init__(
        self,
        job: Job,
        progress: Progress,
        order: Order,
        *,
        memory: Callable[[], int | None],
        clock: Callable[[], float] = time.perf_counter,
        moment: Callable[[], Any] | None = None,
    ) -> None:
        """Prepare to report.

        Args:
            job: whose events.
            progress: gets the history of losses, and the samples and seconds of the run.
            order: says how many steps are to come.
            memory: returns the peak memory of the device in bytes; None on one that does not report it.
            clock: seconds.
            moment: marks a moment on the device; the difference of two is in seconds. None: the device has no clock of
                its own.
        """
        self._job, self._progress, self._order = job, progress, order
        self._memory, self._clock, self._moment = memory, clock, moment or clock
        self._lap = _Lap()
        self._seconds = self._waited = self._busy = 0.0
        self._began = clock()

    def started(self, what: str, *, samples: int, precision: str) -> None:
        """Report that training begins or resumes; `what` is trained on `samples` in this number format."""
        self._began = self._clock()
        if self._job.rank == 0:
            self._job.events.send(
                events.Started(
                    what=what,
                    samples=samples,
                    epochs=self._job.epochs,
                    steps_per_epoch=self._order.steps,
                    batch=self._order.batch,
                    devices=self._job.world,
                    precision=precision,
                    step=self._progress.step,
                )
            )

    def reading(self, batches: Iterable[Item]) -> Iterator[Item]:
        """Yield batches, and count the seconds that the device waits for each."""
        asked = self._moment()
        for batch in batches:
            self._lap.waits.append((asked, self._moment()))
            yield batch
            asked = self._moment()

    def busy(self, seconds: float) -> None:
        """Count the processor time that it took to make samples."""
        self._busy += seconds

    def feeding(self, *, readers: int) -> Feeding:
        """Return how the device was fed by so many readers, up to the last look."""
        return Feeding(
            rank=self._job.rank, readers=readers, seconds=self._seconds, waited=self._waited, busy=self._busy
        )

    def count_step(self, samples: int) -> None:
        """Count a step that was done with so many samples of this rank."""
        self._lap.count += 1
        self._lap.samples += samples
        self._progress.samples += samples * self._job.world

    def end_lap(self) -> None:
        """Stop the time of the steps since the last look; called as soon as their losses have been read."""
        now = self._clock()
        self._lap.seconds = now - self._began
        self._progress.seconds += self._lap.seconds
        self._seconds += self._lap.seconds
        self._began = now

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Do something whose time is not that of training."""
        began = self._clock()
        yield
        self._began += self._clock() - began

    def looked(self, losses: Mapping[str, Any], *, step: int, epoch: int, lr: float) -> None:
        """Report the steps since the last look.

        Args:
            losses: of the last step, by parts.
            step: the last step; the run may be further, where batches are left out.
            epoch: of the last step.
            lr: the learning rate.
        """
        lap = self._lap
        waited = sum(ready - asked for asked, ready in lap.waits)
        self._waited += waited
        values = {name: float(value.mean()) for name, value in losses.items() if hasattr(value, "mean")}
        if self._job.rank == 0:
            loss = round(values["loss"], 6)
            self._progress.losses.append({"step": step, "epoch": epoch, "loss": loss, "lr": lr})
        self._job.events.send(
            events.Step(
                step=step,
                steps=self._steps(),
                epoch=epoch,
                epochs=self._job.epochs,
                loss=values,
                lr=lr,
                samples=lap.samples,
                seconds=lap.seconds,
                reader_seconds=waited,
                count=lap.count,
                device_memory_bytes=self._memory(),
            )
        )
        self._lap = _Lap()

    def _steps(self) -> int:
        """Count the steps of the run: those done, and those to come."""
        progress = self._progress
        if progress.epoch > self._job.epochs:
            return progress.step
        under_way = self._order.steps_left(progress.taken) - progress.step_in_epoch
        return progress.step + under_way + (self._job.epochs - progress.epoch) * self._order.steps

    def evaluated(self, evaluation: Evaluation, *, seconds: float) -> None:
        """Report an evaluation; the main metric of each network is there by its name."""
        if self._job.rank == 0:
            name = self._job.run.main_metric
            others = {f"{network}_{name}": metrics[name] for network, metrics in evaluation.networks.items()}
            entry = {**evaluation.entry(), "metrics": {**evaluation.metrics, **others}}
            self._job.events.send(events.Evaluated(**entry, seconds=seconds))

    def saved(self, *, seconds: float) -> None:
        """Report a checkpoint."""
        if self._job.rank == 0:
            self._job.events.send(events.Checkpointed(step=self._progress.step, seconds=seconds))

    def finished(self, *, digest: str, feeding: Feeding, more: Mapping[str, Any]) -> dict[str, Any]:
        """Write `training.json`, and report what limited the speed.

        Args:
            digest: of the trained parameters.
            feeding: of the rank that waited longest for samples.
            more: facts that only some trainings have.

        Returns:
            The best evaluation and the steps.
        """
        progress = self._progress
        assert progress.best
        facts = {
            "history": {"loss": progress.losses, "eval": progress.evaluations},
            "best": progress.best,
            "steps": progress.step,
            "epochs": self._job.epochs,
            "samples": progress.samples,
            "seconds": round(progress.seconds, 3),
            "reading": feeding.facts(),
            "world_size": self._job.world,
            "device": self._job.device,
            "parameters_sha256": digest,
            # The save before this has gathered every rank's.
            "refused": progress.refused,
            "skipped_batches": progress.skipped,
            **more,
        }
        if self._job.rank == 0:
            atomic.write(self._job.work.training_facts, json.dumps(facts, indent=1))
            if feeding.seconds:
                self._job.events.send(events.Notice(message=feeding.sentence(world=self._job.world)))
        return {"best": progress.best, "steps": progress.step}
