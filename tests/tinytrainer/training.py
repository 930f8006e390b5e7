"""The loop: steps, evaluations, checkpoints, and an orderly stop on the same step of every rank."""

import json
import os
import shutil
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
from rapidfuzz.distance import Levenshtein

from tests.tinytrainer.gang import Gang
from tests.tinytrainer.model import Array, Model, Row, pixels_of
from trainer.datasets.prepared import Sample
from trainer.errors import DivergedError, OcrfleetError, StoppedError
from trainer.evaluation.analysis import Comparison
from trainer.ppocr.job import Job
from trainer.ppocr.order import Order
from trainer.run.interval import Due
from trainer.state import checkpoints, resuming
from trainer.system import atomic
from trainer.telemetry import events

PACE: Final = 0.1
"""Seconds that a step takes at least: a test has time for what it does meanwhile, and chooses its length by epochs."""

RATE: Final = 0.3
MOMENTUM: Final = 0.9


@dataclass
class Progress:
    """Where training stands; all of it is in a checkpoint."""

    step: int = 0
    epoch: int = 1
    step_in_epoch: int = 0
    samples: int = 0
    seconds: float = 0.0
    best: dict[str, Any] | None = None
    losses: list[dict[str, Any]] = field(default_factory=list)
    evaluations: list[dict[str, Any]] = field(default_factory=list)


class Training:
    """One way from the newest checkpoint to the last epoch."""

    def __init__(self, job: Job, gang: Gang) -> None:
        """Begin, or resume."""
        self.job, self.gang = job, gang
        samples = job.prepared.samples("train")
        self.model = Model.untrained(job.prepared)
        self.velocity: Array = np.zeros_like(self.model.weights)
        self.pixels = pixels_of(samples)
        self.classes = self.model.classes([sample.label for sample in samples])
        loader = job.config["Train"]["loader"]
        self.order = Order(
            count=len(samples),
            batch=int(loader["batch_size_per_card"]),
            world=gang.world,
            seed=job.run.train.seed,
            drop_last=bool(loader.get("drop_last", False)),
        )
        self.epochs = int(job.config["Global"]["epoch_num"])
        self.saving, self.evaluating = Due(job.run.checkpoint.every), Due(job.run.train.evaluate_every)
        self.progress = self._resume()

    def run(self) -> dict[str, Any]:
        """Train to the last epoch; return the facts of the stage.

        Raises:
            StoppedError: a signal came; the state is saved.
            DivergedError: the loss is not finite.
        """
        progress = self.progress
        self._say_start()
        if not progress.step:
            self._save()
        while progress.epoch <= self.epochs:
            plan = self.order.epoch(progress.epoch)
            for indexes in plan[progress.step_in_epoch :]:
                self._step(indexes[self.gang.rank * self.order.batch :][: self.order.batch], last=len(plan))
                self._after_step()
        if not progress.evaluations or progress.evaluations[-1]["step"] != progress.step:
            self._evaluate()
        self._save()
        return self._finish()

    def _step(self, own: Any, *, last: int) -> None:
        began, progress = time.monotonic(), self.progress
        loss, slope = self.model.gradient(self.pixels[own], self.classes[own])
        if not np.isfinite(loss):
            raise DivergedError(f"The loss of step {progress.step + 1} is not finite.")
        self.velocity = MOMENTUM * self.velocity + self.gang.mean(slope)
        self.model.weights = (self.model.weights - RATE * self.velocity).astype(np.float32)
        threading.Event().wait(max(0.0, PACE - (time.monotonic() - began)))
        seconds = time.monotonic() - began
        epoch, progress.step, progress.step_in_epoch = progress.epoch, progress.step + 1, progress.step_in_epoch + 1
        if progress.step_in_epoch == last:
            progress.epoch, progress.step_in_epoch = epoch + 1, 0
        progress.samples += len(own) * self.gang.world
        progress.seconds += seconds
        progress.losses.append({"step": progress.step, "epoch": epoch, "loss": round(loss, 6), "lr": RATE})
        self.job.events.send(
            events.Step(
                step=progress.step,
                steps=self.order.steps * self.epochs,
                epoch=epoch,
                epochs=self.epochs,
                loss={"loss": loss},
                lr=RATE,
                samples=len(own),
                seconds=seconds,
                reader_seconds=0.0,
            )
        )

    def _after_step(self) -> None:
        """Evaluate, save and stop where that is due: on all ranks alike."""
        step, epochs = self.progress.step, None if self.progress.step_in_epoch else self.progress.epoch - 1
        wanted = [self.job.stopping(), self.saving.at(step, epochs=epochs), self.evaluating.at(step, epochs=epochs)]
        stop, save, judge = self.gang.largest([int(each) for each in wanted])
        if judge and not stop:
            self._evaluate()
        if save or stop:
            self._save()
        if stop:
            raise StoppedError(f"Stopped after step {step}. The state is saved: run it again to resume.")

    def _evaluate(self) -> None:
        began, progress, name = time.monotonic(), self.progress, self.job.run.main_metric
        metrics, _ = evaluate(self.job, self.gang, self.model, split=self.job.split("eval"))
        best = progress.best is None or metrics[name] >= progress.best["metrics"][name]
        entry = {"step": progress.step, "epoch": -(-progress.step // self.order.steps), "metrics": metrics}
        progress.evaluations.append({**entry, "best": best})
        if best:
            progress.best = entry
        if self.gang.rank == 0:
            if best:
                self.model.write(self.job.work.best_weights)
            self.job.events.send(events.Evaluated(**entry, best=best, seconds=time.monotonic() - began))
        self.evaluating.done()
        self.gang.meet()

    def _save(self) -> None:
        if self.gang.rank == 0:
            began, work = time.monotonic(), self.job.work
            folder = work.checkpoint(self.progress.step)
            self._write(folder)
            checkpoints.prune(work.checkpoints, keep=self.job.run.checkpoint.keep)
            taken = time.monotonic() - began
            self.job.events.send(events.Checkpointed(step=self.progress.step, seconds=taken))
        self.saving.done()
        self.gang.meet()

    def _write(self, folder: Path) -> None:
        with atomic.folder(folder) as new:
            self.model.write(new / "model.npy")
            Model(self.model.characters, self.velocity).write(new / "velocity.npy")
            if self.job.work.best_weights.exists():
                shutil.copy2(self.job.work.best_weights, new / "best.npy")
            checkpoints.seal(new, facts=asdict(self.progress), data=self.job.data)

    def _resume(self) -> Progress:
        """Load the newest whole checkpoint on every rank; only rank 0 needs the folder."""
        work, job = self.job.work, self.job
        newest = self.gang.decide(
            lambda: resuming.choose(work.checkpoints, run=job.run, data=job.data, tell=job.events.send)
        )
        if self.gang.rank == 0:
            work.best_weights.unlink(missing_ok=True)
        if newest is None:
            return Progress()
        found = None
        if self.gang.rank == 0:
            found = (np.load(newest.folder / "model.npy"), np.load(newest.folder / "velocity.npy"))
            if (newest.folder / "best.npy").exists():
                shutil.copy2(newest.folder / "best.npy", work.best_weights)
        self.model.weights, self.velocity = self.gang.share(found)
        return Progress(**newest.facts)

    def _say_start(self) -> None:
        if self.gang.rank == 0:
            self.job.events.send(
                events.Started(
                    what="Training",
                    samples=self.order.count,
                    epochs=self.epochs,
                    steps_per_epoch=self.order.steps,
                    batch=self.order.batch,
                    devices=self.gang.world,
                    precision="fp32",
                    step=self.progress.step,
                )
            )

    def _finish(self) -> dict[str, Any]:
        progress = self.progress
        digests = self.gang.gather(self.model.digest)
        if len(set(digests)) != 1:
            raise OcrfleetError("The ranks have different weights after training, so their gradients were not shared.")
        facts = {
            "history": {"loss": progress.losses, "eval": progress.evaluations},
            "best": progress.best,
            "steps": progress.step,
            "epochs": self.epochs,
            "samples": progress.samples,
            "seconds": round(progress.seconds, 3),
            "world_size": self.gang.world,
            "device": self.job.device,
            "parameters_sha256": digests[0],
            "refused": {},
            "skipped_batches": [],
        }
        if self.gang.rank == 0:
            atomic.write(self.job.work.training_facts, json.dumps(facts, indent=1))
        return {"best": progress.best, "steps": progress.step}


def evaluate(job: Job, gang: Gang, model: Model, *, split: str) -> tuple[dict[str, float], list[Row]]:
    """Read a split on all ranks, each sample once; return the metrics and the rows of predictions.jsonl."""
    samples = job.prepared.samples(split)
    own = [(place, samples[place]) for place in range(gang.rank, len(samples), gang.world)]
    read = rows(model, [sample for _, sample in own], root=job.prepared.root)
    places = [place for place, _ in own]
    gathered = [pair for part in gang.gather(list(zip(places, read, strict=True))) for pair in part]
    found = [row for _, row in sorted(gathered, key=lambda pair: pair[0])]
    return score(found, Comparison.of(job.config.get("Metric"))), found


def rows(model: Model, samples: Sequence[Sample], *, root: Path) -> list[Row]:
    """Read samples; return a row of predictions.jsonl for each."""
    if not samples:
        return []
    read = model.read(pixels_of(samples))
    return [
        {
            "image": Path(os.path.relpath(sample.image, root)).as_posix(),
            "source": sample.source,
            "label": sample.label,
            "text": text,
            "score": sure,
        }
        for sample, (text, sure) in zip(samples, read, strict=True)
    ]


def score(found: Sequence[Row], comparison: Comparison) -> dict[str, float]:
    """Return acc and norm_edit_dis of rows of predictions.jsonl."""
    pairs = [(comparison.folded(row["label"]), comparison.folded(row["text"])) for row in found]
    alike = [Levenshtein.normalized_similarity(label, text) for label, text in pairs]
    count = max(len(pairs), 1)
    return {"acc": sum(label == text for label, text in pairs) / count, "norm_edit_dis": sum(alike) / count}
