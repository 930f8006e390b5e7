"""A training from the newest checkpoint to the end: makes its parts, runs the loop, and checks the trained model."""

import random
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import paddle

from trainer.ppocr import build, collective, data, feeding, readers, start, state, train_step
from trainer.ppocr.divergence import GoBackError, Guard
from trainer.ppocr.evaluator import Evaluator
from trainer.ppocr.job import Job
from trainer.ppocr.loop import Loop, Operations
from trainer.ppocr.progress import Progress
from trainer.ppocr.refusals import Refusals
from trainer.ppocr.reporter import Reporter
from trainer.ppocr.selection import Selection
from trainer.ppocr.training_set import training_set
from trainer.recipes import distill
from trainer.state import checkpoints, resuming
from trainer.telemetry import events


def train(job: Job, *, alone: bool = False) -> dict[str, Any]:
    """Train to the last epoch; go back once if training diverges.

    Args:
        job: this worker's view of the run.
        alone: whether the one network of `job.config` is what a distillation has picked.

    Returns:
        The best evaluation and the steps; `training.json` has the rest.

    Raises:
        StoppedError: a signal came; the state is saved.
        DivergedError: a loss or a weight is not finite for the second time.
        DatasetError: more samples are unusable than `run.data.maxRefused` allows; or the checkpoint was trained on
            other data, and `run.data.onChange` is `fail`.
        SpecError: every checkpoint is damaged, and `run.checkpoint.onDamage` is `fail`.
    """
    skipped: list[dict[str, Any]] = []
    while True:
        try:
            # The optimizer's state goes by names that paddle counts up: each training counts from 0.
            with paddle.utils.unique_name.guard():
                return Training(job, skipped=skipped, alone=alone).run()
        except GoBackError as error:
            skipped = error.skipped
            if job.rank == 0:
                job.events.send(events.Restarted(reason="diverged", message=str(error)))


class Training:
    """A model with its data, optimizer and progress, made in a fixed order: random draws depend on it."""

    def __init__(self, job: Job, *, skipped: Sequence[dict[str, Any]], alone: bool) -> None:
        """Start, or resume.

        Args:
            job: this worker's view of the run.
            skipped: batches to leave out from now on.
            alone: whether the one network of `job.config` is what a distillation has picked.
        """
        self._job, self._alone = job, alone
        _seed(job.run.train.seed)
        self._model = build.build_model(job.config)
        # On every rank: the statistics of BatchNorm are each one's own.
        for note in [] if alone else start.begin(job, self._model):
            if job.rank == 0:
                job.events.send(events.Notice(message=note))
        samples = job.prepared.samples("train")
        self._dataset, self._order, self._screened = training_set(job, self._model, samples)
        self._step = train_step.TrainStep(job, self._model, steps_per_epoch=self._order.steps)
        # After DataParallel, which gives rank 0's statistics to all: each rank resumes with its own.
        self._progress = self._resume()
        self._progress.skipped += skipped

    def run(self) -> dict[str, Any]:
        """Train to the last epoch, check the model, and write `training.json`."""
        job, progress, order = self._job, self._progress, self._order
        moment = train_step.Moment if job.device == "gpu" else None
        reporter = Reporter(job, progress, order, memory=self._memory, moment=moment)
        count = self._readers()
        selection = Selection(job.run, job.config, progress, steps=order.steps, alone=self._alone)
        evaluator = Evaluator(job, self._model, progress, selection=selection, reporter=reporter)
        refusals = Refusals(job, progress)
        refusals.add(self._screened)
        loop = Loop(
            job,
            progress,
            order,
            guard=self._guard(),
            refusals=refusals,
            reporter=reporter,
            operations=Operations(
                read=lambda batches: data.BatchReader(self._dataset, batches, readers=count, busy=reporter.busy),
                step=self._step,
                skip=self._step.skip,
                lr=self._step.lr,
                evaluate=evaluator.evaluate,
                save=lambda: self._save(reporter),
                largest=collective.largest,
            ),
        )
        reporter.started(selection.title, samples=len(self._dataset), precision=self._step.precision)
        loop.run()
        digest = evaluator.check_trained()
        progress.distilled = progress.distilled or distill.is_distillation(job.config)
        loop.save()
        slowest = feeding.slowest(collective.gather(reporter.feeding(readers=count)))
        more = {"precision": self._step.precision, **selection.facts()}
        return reporter.finished(digest=digest, feeding=slowest, more=more)

    def _readers(self) -> int:
        """Return how many processes read for this worker."""
        job, widths = self._job, self._order.widths
        if not readers.asked(job):
            return 0
        batch = data.batch_bytes(self._dataset, samples=self._order.batch, width=max(widths) if widths else 0)
        count, note = readers.fitting(job, batch=batch)
        if note and job.rank == 0:
            job.events.send(events.Notice(message=note))
        return count

    def _guard(self) -> Guard:
        return Guard(
            progress=self._progress,
            samples=self._dataset.samples,
            read=train_step.read_losses,
            finite=lambda: state.finite(self._model),
            largest=collective.largest,
            checkpoint=self._newest_step,
        )

    def _save(self, reporter: Reporter) -> None:
        began, work = time.perf_counter(), self._job.work
        step, progress = self._step, self._progress
        state.save(self._job, self._model, optimizer=step.optimizer, progress=progress, scaler=step.scaler)
        if self._job.rank == 0:
            checkpoints.prune(work.checkpoints, keep=self._job.run.checkpoint.keep)
        reporter.saved(seconds=time.perf_counter() - began)

    def _resume(self) -> Progress:
        """Load the newest checkpoint; on another number of ranks, divide the rest of the epoch again."""
        progress, order = self._load(), self._order
        size = order.batch * order.world
        if progress.step_size not in (0, size):
            if progress.step_in_epoch:
                progress.taken.append((progress.step_size, progress.step_in_epoch))
            progress.step_in_epoch = 0
            # Schedules resume from the same part of the epoch.
            done = order.steps - order.steps_left(progress.taken)
            self._step.go_to((progress.epoch - 1) * order.steps + done)
        progress.step_size = size
        return progress

    def _load(self) -> Progress:
        newest, work = state.newest(self._job), self._job.work
        if self._alone and newest and newest.facts["alone_since"] is None:
            return state.begin_alone(newest, self._model, best=work.best_weights)
        step = self._step
        return state.load(newest, self._model, optimizer=step.optimizer, best=work.best_weights, scaler=step.scaler)

    def _newest_step(self) -> int:
        """Return the step of the newest whole checkpoint, which rank 0 alone is sure to have."""
        found, _ = resuming.newest(self._job.work.checkpoints) if self._job.rank == 0 else (None, {})
        return int(collective.share(found.step if found else 0))

    def _memory(self) -> int | None:
        return int(paddle.device.cuda.max_memory_allocated()) if self._job.device == "gpu" else None


def _seed(seed: int) -> None:
    """Seed all generators: some of PaddleOCR's layers draw their weights from those of Python and numpy."""
    paddle.seed(seed)
    random.seed(seed)
    np.random.seed(seed)
