"""The training loop: steps, evaluations, checkpoints, and an orderly stop on the same step of every rank.

PaddleOCR's own loop is not run (house rule 8). Decisions that depend on a clock or a signal are taken
together: after each step one small all-reduce tells every rank whether to stop, save or evaluate.
"""

import contextlib
import json
import logging
import math
import os
import time
from collections.abc import Iterator
from typing import Any

import paddle

from trainer import checkpoints
from trainer.due import Due
from trainer.errors import DatasetError, DivergedError, OcrfleetError, SpecError, StoppedError
from trainer.ppocr import build, collective, data, evaluate, state
from trainer.ppocr.job import Job

log = logging.getLogger(__name__)


class Training:
    """One attempt at training; `run` gives when all epochs are done or raises why not."""

    def __init__(self, job: Job) -> None:
        self.job = job
        config, samples = job.config, job.prepared.samples("train")
        loader = config["Train"]["loader"]
        self.epochs = int(config["Global"]["epoch_num"])
        self.order = data.Order(
            len(samples),
            batch=loader["batch_size_per_card"],
            rank=job.rank,
            world=job.world,
            seed=job.run.train.seed,
            drop_last=loader.get("drop_last", False),
        )
        if self.order.steps == 0:
            raise DatasetError(
                f"An epoch has no batch: {len(samples)} training samples, {loader['batch_size_per_card']} a device on "
                f"{job.world} devices. Lower run.train.batchSizePerDevice, or add samples."
            )
        paddle.seed(job.run.train.seed)
        self.dataset = data.TrainingSet(samples, config, seed=job.run.train.seed)
        self.model = build.build_model(config)
        if job.run.init.pretrained:
            build.start_from(self.model, job.work.pretrained, student=job.run.init.student)
        self.loss = build.build_loss(config)
        self.optimizer, self.schedule = build.build_optimizer(config, self.model, steps_per_epoch=self.order.steps)
        self.scaler = paddle.amp.GradScaler() if self.precision == "fp16" else None
        self.progress = self._resume()
        # With DataParallel every backward pass averages the gradients over the ranks.
        unused = config["Global"].get("find_unused_parameters", False)
        self.network = self.model
        if job.world > 1:
            self.network = paddle.DataParallel(self.model, find_unused_parameters=unused)
        self.saving = Due(job.run.checkpoint.every, steps_per_epoch=self.order.steps)
        self.evaluating = Due(job.run.train.evaluate_every, steps_per_epoch=self.order.steps)
        self._since = {"samples": 0, "seconds": 0.0, "reader_seconds": 0.0, "count": 0}
        # Reading a loss waits for the device: rarely on a GPU, where it costs; always on CPU, where it does not.
        self._report_every = 10 if job.device == "gpu" else 1

    @property
    def precision(self) -> str:
        """The number format of the forward pass on this device."""
        wanted = self.job.run.train.precision
        if self.job.device == "cpu":
            if wanted in ("fp16", "bf16"):
                raise SpecError(
                    f"run.train.precision is {wanted!r}: this runs on CPU, which trains in fp32. Use `auto`."
                )
            return "fp32"
        return "bf16" if wanted == "auto" and paddle.amp.is_bfloat16_supported() else wanted.replace("auto", "fp16")

    def run(self) -> dict[str, Any]:
        """Train to the last epoch.

        Returns:
            The facts of `training.json`.

        Raises:
            StoppedError: a signal came; the state is saved.
            DivergedError: the loss is not a number.
        """
        self._say_start()
        evaluated = self.progress.evaluations[-1]["step"] if self.progress.evaluations else 0
        if evaluated != self.progress.step and self.evaluating.by_steps and self.evaluating.at(self.progress.step):
            # The attempt before was told to stop when this evaluation was due.
            self._evaluate()
            evaluated = self.progress.step
        while self.progress.epoch <= self.epochs:
            for _ in self._steps_of_epoch():
                step = self.progress.step
                lead = self.job.rank == 0
                stop, save, judge = collective.agree(
                    [self.job.stopping(), lead and self.saving.at(step), lead and self.evaluating.at(step)]
                )
                if judge and not stop:
                    self._evaluate()
                    evaluated = step
                if save or stop:
                    self._save()
                if stop:
                    raise StoppedError(f"Stopped after step {step}; the state is saved. Run it again to go on.")
        if evaluated != self.progress.step:
            self._evaluate()
        self._save()
        return self._finish()

    def _steps_of_epoch(self) -> Iterator[None]:
        progress, epoch = self.progress, self.progress.epoch
        batches = self.order.batches(epoch, start=progress.step_in_epoch)
        began = time.perf_counter()
        self.network.train()
        for refused, batch in data.read_batches(self.dataset, batches, readers=self.job.readers):
            read = time.perf_counter()
            self._note_refused(refused)
            losses = self._step(batch)
            progress.step += 1
            progress.step_in_epoch += 1
            if progress.step_in_epoch == self.order.steps:
                progress.epoch, progress.step_in_epoch = epoch + 1, 0
            now = time.perf_counter()
            count = batch[0].shape[0]
            progress.samples += count * self.job.world
            progress.seconds += now - began
            for name, value in (("samples", count), ("seconds", now - began), ("reader_seconds", read - began)):
                self._since[name] += value
            self._since["count"] += 1
            if progress.step % self._report_every == 0 or progress.step_in_epoch == 0:
                self._report(losses, epoch)
            yield
            self.network.train()
            began = time.perf_counter()

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

    def _report(self, losses: dict[str, paddle.Tensor], epoch: int) -> None:
        values = {name: float(value.mean()) for name, value in losses.items() if hasattr(value, "mean")}
        step = self.progress.step
        if not math.isfinite(values["loss"]):
            raise DivergedError(
                f"The loss is {values['loss']} at step {step} (epoch {epoch}). Lower Optimizer.lr.learning_rate by "
                "run.overrides, or start from pretrained weights."
            )
        lr = float(self.optimizer.get_lr())
        if self.job.rank == 0:
            self.progress.losses.append({"step": step, "epoch": epoch, "loss": round(values["loss"], 6), "lr": lr})
        self.job.events.send(
            "step",
            step=step,
            steps=self.order.steps * self.epochs,
            epoch=epoch,
            epochs=self.epochs,
            loss=values,
            lr=lr,
            **self._since,
            **self._memory(),
        )
        self._since = dict.fromkeys(self._since, 0)

    def _memory(self) -> dict[str, int]:
        """Give the most memory of the device that was in use, where it can be asked."""
        if self.job.device != "gpu":
            return {}
        return {"device_memory_bytes": int(paddle.device.cuda.max_memory_allocated())}

    def _note_refused(self, refused: list[str]) -> None:
        for line in refused:
            log.warning("Replaced a training sample: %s", line)
        self.progress.refused += len(refused)

    def _evaluate(self) -> None:
        """Read the evaluation split with statistics agreed between the ranks; keep the model if it is the best."""
        began, own = time.perf_counter(), state.buffers(self.model)
        weights = state.agreed(self.model)
        self.model.set_state_dict(weights)
        metrics, _ = evaluate.evaluate(self.job, self.model, split=self.job.split("eval"))
        self.model.set_state_dict(own)
        progress = self.progress
        name = self.job.run.main_metric
        # Of equals the later one: it has seen more, and early on all are 0.
        best = progress.best is None or metrics[name] >= progress.best["metrics"][name]
        # The epoch that has just been worked on: at its end `epoch` points to the next.
        entry = {"step": progress.step, "epoch": math.ceil(progress.step / self.order.steps), "metrics": metrics}
        progress.evaluations.append({**entry, "best": best})
        if best:
            progress.best = entry
            if self.job.rank == 0:
                state.write_weights(weights, self.job.work.best_weights)
        taken = time.perf_counter() - began
        if self.job.rank == 0:
            self.job.events.send("eval", **entry, best=best, seconds=taken)
        self.evaluating.done()
        collective.meet()

    def _save(self) -> None:
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
            self.job.events.send("checkpoint", step=self.progress.step, path=str(folder), seconds=taken)
        self.saving.done()

    def _resume(self) -> state.Progress:
        found = checkpoints.local(self.job.work.checkpoints) if self.job.rank == 0 else []
        return state.load(
            found[-1] if found else None,
            self.model,
            optimizer=self.optimizer,
            best=self.job.work.best_weights,
            scaler=self.scaler,
        )

    def _say_start(self) -> None:
        if self.job.rank:
            return
        done = f", going on after step {self.progress.step}" if self.progress.step else ""
        batch = self.job.config["Train"]["loader"]["batch_size_per_card"]
        self.job.events.send(
            "notice",
            message=f"Training {len(self.dataset)} samples, {self.epochs} epochs of {self.order.steps} steps, "
            f"batch {batch} × {self.job.world} devices, {self.precision}{done}.",
        )

    def _finish(self) -> dict[str, Any]:
        digests = collective.gather(state.parameters_digest(self.model))
        if len(set(digests)) != 1:
            raise OcrfleetError(
                "The ranks ended with different parameters, so their gradients were not shared. "
                "The model is not used; keep the logs and report this."
            )
        progress = self.progress
        facts = {
            "history": {"loss": progress.losses, "eval": progress.evaluations},
            "best": progress.best,
            "steps": progress.step,
            "epochs": self.epochs,
            "samples": progress.samples,
            "seconds": round(progress.seconds, 3),
            "world_size": self.job.world,
            "device": self.job.device,
            "parameters_sha256": digests[0],
            "replaced_samples": sum(collective.gather(progress.refused)),
        }
        if self.job.rank == 0:
            temporary = self.job.work.training_facts.with_suffix(".tmp")
            temporary.write_text(json.dumps(facts, indent=1), "utf-8")
            os.replace(temporary, self.job.work.training_facts)
        return {"best": progress.best, "steps": progress.step}


def _as_float32(value: Any) -> Any:
    """Give predictions in float32, whatever nest they come in: losses are computed in full precision."""
    if isinstance(value, dict):
        return {key: _as_float32(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_as_float32(part) for part in value)
    if isinstance(value, paddle.Tensor) and value.dtype in (paddle.float16, paddle.bfloat16):
        return value.astype("float32")
    return value
