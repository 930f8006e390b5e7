"""The training loop: steps, evaluations, checkpoints, and a clean stop on the same step of every rank.

PaddleOCR's own loop is not used (house rule 8). Decisions that depend on a clock, a signal or a loss are made together:
every few steps one small all-reduce tells each rank whether to stop, to save, or to go back.
"""

import contextlib
import itertools
import json
import logging
import math
import random
import time
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import paddle

from trainer.errors import DatasetError, DivergedError, OcrfleetError, StoppedError
from trainer.ppocr import build, collective, data, evaluate, start, state, training_set
from trainer.ppocr import distill as several
from trainer.ppocr.job import Job
from trainer.ppocr.progress import Progress
from trainer.recipes import distill
from trainer.run import precision
from trainer.run.interval import Due
from trainer.state import checkpoints
from trainer.system import atomic
from trainer.telemetry import events

log = logging.getLogger(__name__)

Config = dict[str, Any]

_NAMED = 5
"""Samples that a message names one by one; `training.json` has all."""
_LAST = 2**62
"""Above any step."""


def train(job: Job, *, distilled: Config | None = None) -> dict[str, Any]:
    """Train to the last epoch; go back once if the loss is not finite.

    Args:
        job: this worker's view of the run.
        distilled: the distillation that the one network of `job.config` is from.

    Returns:
        The best evaluation and the steps; `training.json` has the rest.

    Raises:
        StoppedError: a signal came; the state is saved.
        DivergedError: the loss is not finite for the second time.
        DatasetError: more samples are unusable than `run.data.maxRefused` allows.
    """
    skipped: list[dict[str, Any]] = []
    while True:
        try:
            # The optimizer's state goes by names that paddle counts up: each way begins to count anew.
            with paddle.utils.unique_name.guard():
                return Training(job, skipped=skipped, distilled=distilled).run()
        except _GoBackError as error:
            skipped = error.skipped


class _GoBackError(Exception):
    """The loss is not finite: resume from the last good checkpoint, without these batches."""

    def __init__(self, skipped: list[dict[str, Any]]) -> None:
        super().__init__()
        self.skipped = skipped


class Training:
    """One way from the newest checkpoint to the end; `run` gives when all epochs are done or raises why not."""

    def __init__(self, job: Job, *, skipped: Sequence[dict[str, Any]] = (), distilled: Config | None = None) -> None:
        """Begin, or go on.

        Args:
            job: this worker's view of the run.
            skipped: batches to leave out from now on.
            distilled: the distillation that the one network of `job.config` is from.
        """
        self.job = job
        config = job.config
        self._distilled = distilled
        samples = job.prepared.samples("train")
        # Some of PaddleOCR's layers draw their weights from the generators of Python and numpy.
        paddle.seed(job.run.train.seed)
        random.seed(job.run.train.seed)
        np.random.seed(job.run.train.seed)
        self.model = build.build_model(config)
        # On every rank: the statistics of BatchNorm are each one's own.
        for sentence in start.begin(job, self.model) if not distilled else []:
            if job.rank == 0:
                job.events.send(events.Notice(message=sentence))
        one = self.model
        if isinstance(one, several.Networks):
            one = one.of(distill.learners(config)[0])
        self.dataset, self.order, screened = training_set.training_set(job, one, samples)
        self.loss = build.build_loss(config)
        self.optimizer, self.schedule = build.build_optimizer(config, self.model, steps_per_epoch=self.order.steps)
        self.epochs = int(config["Global"]["epoch_num"])
        self.scaler = paddle.amp.GradScaler() if self.precision == "fp16" else None
        # With DataParallel every backward pass averages the gradients over the ranks.
        unused = config["Global"].get("find_unused_parameters", False)
        self.network = self.model
        if job.world > 1:
            self.network = paddle.DataParallel(self.model, find_unused_parameters=unused)
        # After wrapping, which gives rank 0's statistics to all: each rank goes on with its own.
        self.progress = self._resume()
        self.progress.skipped += skipped
        self.progress.starts = self.progress.starts or several.learner_digests(self.model)
        self._frozen = several.frozen_digests(self.model)
        self._refuse(screened)
        self.saving = Due(job.run.checkpoint.every)
        self.evaluating = Due(job.run.train.evaluate_every)
        self._since = {"samples": 0, "seconds": 0.0, "reader_seconds": 0.0, "count": 0}
        # Reading a loss waits for the device: rarely on a GPU, where it costs; always on CPU, where it does not.
        self._look_every = 10 if job.device == "gpu" else 1
        self._unread: list[tuple[int, dict[str, paddle.Tensor]]] = []
        self._places: dict[int, tuple[int, int]] = {}

    @property
    def precision(self) -> str:
        """The number format of the forward pass on this device."""
        bfloat16 = self.job.device == "gpu" and paddle.amp.is_bfloat16_supported()
        return precision.chosen(self.job.run.train.precision, device=self.job.device, bfloat16=bfloat16)

    def run(self) -> dict[str, Any]:
        """Train to the last epoch."""
        self._say_start()
        if not self.progress.step and not self.progress.skipped:
            # To go back to; and a disk or a bucket that takes no checkpoint is found before time is spent.
            self._save()
        evaluated = self.progress.evaluations[-1]["step"] if self.progress.evaluations else 0
        if evaluated != self.progress.step and self.evaluating.at(self.progress.step, epochs=self._whole_epochs()):
            # The attempt before was told to stop when this evaluation was due.
            self._evaluate()
            evaluated = self.progress.step
        while self.progress.epoch <= self.epochs:
            for _ in self._steps_of_epoch():
                step, epochs = self.progress.step, self._whole_epochs()
                judge = self.evaluating.at(step, epochs=epochs)
                save = not self.saving.by_clock and self.saving.at(step, epochs=epochs)
                if not (judge or save or epochs or step % self._look_every == 0):
                    continue
                timed = self.job.rank == 0 and self.saving.by_clock and self.saving.at(step, epochs=epochs)
                stop, clock, late = collective.largest([self.job.stopping(), timed, self._first_bad()])
                if late:
                    first = _LAST - late
                    self._go_back([first - 1, first], f"The loss of step {first} is not finite")
                self._report()
                if judge and not stop:
                    self._evaluate()
                    evaluated = step
                if save or clock or stop:
                    self._save()
                if stop:
                    raise StoppedError(f"Stopped after step {step}. The state is saved: run it again to resume.")
        if evaluated != self.progress.step:
            self._evaluate()
        digest = self._judge()
        self.progress.distilled = self.progress.distilled or distill.is_distillation(self.job.config)
        self._save()
        return self._finish(digest)

    def _whole_epochs(self) -> int | None:
        progress = self.progress
        return None if progress.step_in_epoch or progress.taken else progress.epoch - 1

    def _steps_of_epoch(self) -> Iterator[None]:
        progress, epoch = self.progress, self.progress.epoch
        plan = self.order.epoch(epoch, taken=progress.taken)
        part = len(progress.taken)
        since = progress.alone_since or 0
        left_out = {(each["epoch"], each["part"], each["place"]) for each in progress.skipped if each["step"] > since}
        places = [p for p in range(progress.step_in_epoch, len(plan)) if (epoch, part, p) not in left_out]
        batches = [self.order.items(plan[place], rank=self.job.rank, epoch=epoch) for place in places]
        reading = data.read_batches(self.dataset, batches, readers=self.job.readers)
        began = time.perf_counter()
        self.network.train()
        for place, (refused, batch) in zip(places, reading, strict=True):
            read = time.perf_counter()
            self._refuse(refused)
            self._pass_over(place - progress.step_in_epoch)
            losses = self._step(batch)
            progress.step += 1
            progress.step_in_epoch += 1
            self._unread.append((progress.step, {name: _detached(value) for name, value in losses.items()}))
            self._places[progress.step] = (epoch, place)
            if place == places[-1]:
                self._end_epoch(len(plan))
            now = time.perf_counter()
            count = batch[0].shape[0]
            progress.samples += count * self.job.world
            progress.seconds += now - began
            for name, value in (("samples", count), ("seconds", now - began), ("reader_seconds", read - began)):
                self._since[name] += value
            self._since["count"] += 1
            yield
            self.network.train()
            began = time.perf_counter()
        if not places:
            self._end_epoch(len(plan))

    def _pass_over(self, count: int) -> None:
        """Count batches as done that are left out, so that schedules stay where they were."""
        for _ in range(count):
            self.progress.step += 1
            self.progress.step_in_epoch += 1
            if not isinstance(self.schedule, float):
                self.schedule.step()

    def _end_epoch(self, steps: int) -> None:
        self._pass_over(steps - self.progress.step_in_epoch)
        self.progress.epoch += 1
        self.progress.step_in_epoch = 0
        self.progress.taken = []

    def _step(self, batch: list[paddle.Tensor]) -> dict[str, paddle.Tensor]:
        with self._autocast():
            if build.wants_labels(self.job.config):
                predictions = self.network(batch[0], data=batch[1:])
            else:
                predictions = self.network(batch[0])
        losses: dict[str, paddle.Tensor] = self.loss(_as_float32(predictions), batch)
        total = losses["loss"]
        if self.scaler is None:
            total.backward()
            self.optimizer.step()
        else:
            scaled = self.scaler.scale(total)
            scaled.backward()
            self.scaler.minimize(self.optimizer, scaled)
        self.optimizer.clear_grad()
        if not isinstance(self.schedule, float):
            self.schedule.step()
        return losses

    def _autocast(self) -> contextlib.AbstractContextManager[Any]:
        if self.precision == "fp32":
            return contextlib.nullcontext()
        kind = {"fp16": "float16", "bf16": "bfloat16"}[self.precision]
        context: contextlib.AbstractContextManager[Any] = paddle.amp.auto_cast(level="O1", dtype=kind)
        return context

    def _first_bad(self) -> int:
        """Read the losses since the last look, all at once; give `_LAST` less the first bad step, or 0.

        The earlier the larger, so that the largest over the ranks is the first of all.
        """
        if not self._unread:
            return 0
        totals = paddle.stack([losses["loss"].astype("float32").mean() for _, losses in self._unread]).numpy()
        bad = [step for (step, _), total in zip(self._unread, totals, strict=True) if not math.isfinite(total)]
        return _LAST - bad[0] if bad else 0

    def _report(self) -> None:
        """Report the steps since the last report to the supervisor."""
        if not self._unread:
            return
        step, losses = self._unread[-1]
        values = {name: float(value.mean()) for name, value in losses.items() if hasattr(value, "mean")}
        epoch, _ = self._places[step]
        self._unread = []
        # The last two may still be left out: see _go_back.
        self._places = {known: place for known, place in self._places.items() if known >= step - 1}
        lr = float(self.optimizer.get_lr())
        if self.job.rank == 0:
            self.progress.losses.append({"step": step, "epoch": epoch, "loss": round(values["loss"], 6), "lr": lr})
        self.job.events.send(
            events.Step(
                step=step,
                steps=self._all_steps(),
                epoch=epoch,
                epochs=self.epochs,
                loss=values,
                lr=lr,
                samples=int(self._since["samples"]),
                seconds=self._since["seconds"],
                reader_seconds=self._since["reader_seconds"],
                count=int(self._since["count"]),
                device_memory_bytes=self._memory(),
            )
        )
        self._since = dict.fromkeys(self._since, 0)

    def _all_steps(self) -> int:
        """Count the steps of the run: those done, and those to come."""
        progress = self.progress
        if progress.epoch > self.epochs:
            return progress.step
        under_way = self.order.steps_left(progress.taken) - progress.step_in_epoch
        return progress.step + under_way + (self.epochs - progress.epoch) * self.order.steps

    def _check_weights(self) -> None:
        """Check that the weights are finite before they are saved or used: a finite loss may have a NaN gradient."""
        if any(collective.largest([not state.finite(self.model)])):
            self._go_back([self.progress.step], f"The weights are not finite after step {self.progress.step}")

    def _go_back(self, steps: list[int], why: str) -> None:
        """Skip the batches of these steps and resume from the last good checkpoint.

        The batch before the bad loss is skipped too: its loss was finite, but its update may have done the damage.
        """
        advice = "Lower Optimizer.lr.learning_rate in run.overrides, or start from pretrained weights."
        found = checkpoints.local(self.job.work.checkpoints) if self.job.rank == 0 else []
        back_to = collective.share(int(found[-1].name) if found else 0)
        entries = [{**self._batch(step), "reason": why} for step in steps if step > back_to and step in self._places]
        names = [name for entry in entries for name in entry["samples"]]
        if self.progress.skipped:
            before = self.progress.skipped[-1]["step"]
            raise DivergedError(
                f"{why}, for the second time. The first time was at step {before}, whose batch is skipped. {advice}"
            )
        if not entries:
            raise DivergedError(f"{why}, and there is no batch before it to skip. {advice}")
        if self.job.rank == 0:
            more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
            self.job.events.send(
                events.Restarted(
                    reason="diverged",
                    message=f"{why}. Going back to the checkpoint of step {back_to}. Skipping from now on: step "
                    f"{' and '.join(str(entry['step']) for entry in entries)} with {', '.join(names[:_NAMED])}{more}. "
                    f"If it happens again, the run ends. {advice}",
                )
            )
        raise _GoBackError(entries)

    def _batch(self, step: int) -> dict[str, Any]:
        """Name the batch of a step, of all ranks."""
        epoch, place = self._places[step]
        taken = self._first_taken if epoch == self._first_epoch else []
        members = self.order.epoch(epoch, taken=taken)[place]
        return {
            "epoch": epoch,
            "part": len(taken),
            "place": place,
            "step": step,
            "samples": [self.dataset.samples[i].source for i in members],
        }

    def _memory(self) -> int | None:
        """Return the device's peak memory use in bytes, on devices that report it."""
        return int(paddle.device.cuda.max_memory_allocated()) if self.job.device == "gpu" else None

    def _refuse(self, refused: data.Refused) -> None:
        """Record unusable samples; end the run if there are too many."""
        new = {source: why for source, why in refused.items() if source not in self.progress.refused}
        for source, why in new.items():
            log.warning("Training sample skipped: %s: %s", source, why)
        if new:
            examples = dict(itertools.islice(new.items(), _NAMED))
            self.job.events.send(events.Refused(count=len(new), examples=examples))
        self.progress.refused.update(new)
        before = sum(row.get("split") == "train" for row in self.job.prepared.refused)
        total = self.job.prepared.counts["train"] + before
        limit, count = self.job.run.data.max_refused.train, before + len(self.progress.refused)
        if new and count > limit * total:
            source, why = next(iter(new.items()))
            raise DatasetError(
                f"{count} of {total} training samples cannot be used, but run.data.maxRefused.train allows "
                f"{limit * 100:g} %. One of them is {source}: {why}. Fix them, or raise the limit."
            )

    def _evaluate(self) -> None:
        """Read the evaluation split with statistics agreed between the ranks; keep the model if it is the best."""
        self._check_weights()
        began, own = time.perf_counter(), state.buffers(self.model)
        weights = state.agreed(self.model)
        self.model.set_state_dict(weights)
        found = evaluate.evaluate(self.job, self.model, split=self.job.split("eval"))
        several.check_frozen(self.model, self._frozen)
        self.model.set_state_dict(own)
        progress = self.progress
        name = self.job.run.main_metric
        metrics = {network: read.metrics for network, read in found.items()}
        network = several.pick(metrics, self.job.run, self.job.config) if "" not in metrics else ""
        # Of equals the later one: it has seen more, and early on all are 0.
        best = progress.best is None or metrics[network][name] >= progress.best["metrics"][name]
        # The epoch that has just been worked on: at its end `epoch` points to the next.
        epoch = math.ceil((progress.step - (progress.alone_since or 0)) / self.order.steps)
        entry: dict[str, Any] = {"step": progress.step, "epoch": epoch, "metrics": metrics[network]}
        told = dict(metrics[network])
        if network:
            entry |= {"network": network, "networks": metrics}
            told |= {f"{other}_{name}": values[name] for other, values in metrics.items()}
        elif self._distilled:
            entry |= {"network": (progress.best or {})["network"]}
        progress.evaluations.append({**entry, "best": best})
        if best:
            progress.best = {key: value for key, value in entry.items() if key != "networks"}
            if network:
                progress.networks = evaluate.about(self.model, found)
            if self.job.rank == 0:
                prefix = f"{network}." if network else ""
                kept = {key.removeprefix(prefix): v for key, v in weights.items() if key.startswith(prefix)}
                state.write_weights(kept, self.job.work.best_weights)
        taken = time.perf_counter() - began
        if self.job.rank == 0:
            self.job.events.send(events.Evaluated(**{**entry, "metrics": told}, best=best, seconds=taken))
        self.evaluating.done()
        collective.meet()

    def _save(self) -> None:
        self._check_weights()
        began, folder = time.perf_counter(), self.job.work.checkpoint(self.progress.step)
        state.save(
            folder,
            self.model,
            optimizer=self.optimizer,
            progress=self.progress,
            best=self.job.work.best_weights,
            scaler=self.scaler,
        )
        if self.job.rank == 0:
            checkpoints.prune(self.job.work.checkpoints, keep=self.job.run.checkpoint.keep)
            taken = time.perf_counter() - began
            self.job.events.send(events.Checkpointed(step=self.progress.step, seconds=taken))
        self.saving.done()

    def _resume(self) -> Progress:
        found = checkpoints.local(self.job.work.checkpoints) if self.job.rank == 0 else []
        newest, best = found[-1] if found else None, self.job.work.best_weights
        facts = state.newest_facts(self.job.work.checkpoints) if self._distilled else None
        if facts and facts["alone_since"] is None:
            progress = state.begin_alone(newest, self.model, best=best)
        else:
            progress = state.load(newest, self.model, optimizer=self.optimizer, best=best, scaler=self.scaler)
        size = self.order.batch * self.order.world
        if progress.step_size not in (0, size):
            # Another number of ranks: the rest of the epoch is divided anew, and schedules go on from the same part.
            if progress.step_in_epoch:
                progress.taken.append((progress.step_size, progress.step_in_epoch))
            done = self.order.steps - self.order.steps_left(progress.taken)
            progress.step_in_epoch = 0
            if not isinstance(self.schedule, float):
                self.schedule.step((progress.epoch - 1) * self.order.steps + done)
        progress.step_size = size
        self._first_epoch, self._first_taken = progress.epoch, list(progress.taken)
        return progress

    def _say_start(self) -> None:
        if self.job.rank:
            return
        self.job.events.send(
            events.Started(
                what=self._what(),
                samples=len(self.dataset),
                epochs=self.epochs,
                steps_per_epoch=self.order.steps,
                batch=self.job.config["Train"]["loader"]["batch_size_per_card"],
                devices=self.job.world,
                precision=self.precision,
                step=self.progress.step,
            )
        )

    def _what(self) -> str:
        if self._distilled:
            return f"Training {(self.progress.best or {})['network']} alone:"
        if not distill.is_distillation(self.job.config):
            return "Training"
        own = distill.learners(self.job.config)
        taught = [name for name in distill.networks(self.job.config) if name not in own]
        by = f", taught by {' and '.join(taught)}" if taught else ", which teach each other"
        return f"Distilling {' and '.join(own)}{by}:"

    def _judge(self) -> str:
        """Check that all ranks trained the same model, that frozen networks did not change and that others learned.

        Returns:
            A digest of the trained parameters.

        Raises:
            OcrfleetError: a check failed, so the model is not used.
        """
        digests = collective.gather(state.parameters_digest(self.model))
        if len(set(digests)) != 1:
            raise OcrfleetError(
                "The ranks have different parameters after training, so their gradients were not shared. "
                "The model is not used. Keep the logs and report this."
            )
        several.check_frozen(self.model, self._frozen)
        several.check_learned(self.model, self.progress.starts)
        return str(digests[0])

    def _finish(self, digest: str) -> dict[str, Any]:
        progress = self.progress
        assert progress.best
        facts = {
            "history": {"loss": progress.losses, "eval": progress.evaluations},
            "best": progress.best,
            "steps": progress.step,
            "epochs": self.epochs,
            "samples": progress.samples,
            "seconds": round(progress.seconds, 3),
            "world_size": self.job.world,
            "device": self.job.device,
            "parameters_sha256": digest,
            # The save before this has gathered every rank's.
            "refused": progress.refused,
            "skipped_batches": progress.skipped,
        }
        if self._distilled or distill.is_distillation(self.job.config):
            facts["distillation"] = {
                "networks": progress.networks,
                "picked": progress.best["network"],
                "why": several.why(progress.networks, self.job.run, progress.best["network"]),
                "fine_tuned_epochs": self.epochs if self._distilled else 0,
            }
        if self.job.rank == 0:
            atomic.write(self.job.work.training_facts, json.dumps(facts, indent=1))
        return {"best": progress.best, "steps": progress.step}


def _detached(value: Any) -> Any:
    return value.detach() if isinstance(value, paddle.Tensor) else value


def _as_float32(value: Any) -> Any:
    """Return nested predictions in float32, since losses are computed in full precision."""
    if isinstance(value, dict):
        return {key: _as_float32(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_as_float32(part) for part in value)
    if isinstance(value, paddle.Tensor) and value.dtype in (paddle.float16, paddle.bfloat16):
        return value.astype("float32")
    return value
