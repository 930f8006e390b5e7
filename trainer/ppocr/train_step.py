"""One training step on paddle: forward, backward, and the optimizer with its schedule, in the run's number format."""

import contextlib
from collections.abc import Sequence
from typing import Any

import paddle

from trainer.ppocr import build
from trainer.ppocr.job import Job
from trainer.run import precision

Arrays = Sequence[Any]


class TrainStep:
    """A model with what trains it. With several ranks every backward pass averages the gradients over them."""

    def __init__(self, job: Job, model: paddle.nn.Layer, *, steps_per_epoch: int) -> None:
        """Build loss, optimizer and schedule of the job's configuration.

        Args:
            job: whose configuration.
            model: the model to train.
            steps_per_epoch: what the schedule counts with.
        """
        config = job.config
        self.model = model
        self.loss = build.build_loss(config)
        self.optimizer, self.schedule = build.build_optimizer(config, model, steps_per_epoch=steps_per_epoch)
        bfloat16 = job.device == "gpu" and paddle.amp.is_bfloat16_supported()
        self.precision = precision.chosen(job.run.train.precision, device=job.device, bfloat16=bfloat16)
        self.scaler = paddle.amp.GradScaler() if self.precision == "fp16" else None
        self._wants_labels = build.wants_labels(config)
        self.network = model
        if job.world > 1:
            unused = config["Global"].get("find_unused_parameters", False)
            self.network = paddle.DataParallel(model, find_unused_parameters=unused)

    def __call__(self, arrays: Arrays) -> dict[str, Any]:
        """Do a step on a batch; return its losses by parts, which are not read from the device yet."""
        batch = [paddle.to_tensor(array) for array in arrays]
        self.network.train()
        with self._autocast():
            predictions = self.network(batch[0], data=batch[1:]) if self._wants_labels else self.network(batch[0])
        losses: dict[str, Any] = self.loss(_as_float32(predictions), batch)
        total = losses["loss"]
        if self.scaler is None:
            total.backward()
            self.optimizer.step()
        else:
            scaled = self.scaler.scale(total)
            scaled.backward()
            self.scaler.minimize(self.optimizer, scaled)
        self.optimizer.clear_grad()
        self.skip(1)
        return {name: _detached(value) for name, value in losses.items()}

    def skip(self, count: int) -> None:
        """Move the schedule on by so many steps."""
        if not isinstance(self.schedule, float):
            for _ in range(count):
                self.schedule.step()

    def go_to(self, step: int) -> None:
        """Put the schedule to a step."""
        if not isinstance(self.schedule, float):
            self.schedule.step(step)

    def lr(self) -> float:
        """Return the learning rate."""
        return float(self.optimizer.get_lr())

    def _autocast(self) -> contextlib.AbstractContextManager[Any]:
        if self.precision in ("fp32", "tf32"):
            return contextlib.nullcontext()
        kind = {"fp16": "float16", "bf16": "bfloat16"}[self.precision]
        context: contextlib.AbstractContextManager[Any] = paddle.amp.auto_cast(level="O1", dtype=kind)
        return context


class Moment:
    """A moment by the GPU's clock: when it has done all that it was given before."""

    def __init__(self) -> None:
        """Mark it in the GPU's queue, which costs microseconds and waits for nothing."""
        self._event = paddle.device.Event(enable_timing=True)
        self._event.record()

    def __sub__(self, earlier: "Moment") -> float:
        """Return the seconds between two moments that the GPU has passed."""
        return float(earlier._event.elapsed_time(self._event)) / 1000


def read_losses(losses: Sequence[paddle.Tensor]) -> Sequence[float]:
    """Read losses from the device, all at once, after waiting for their steps."""
    values: Sequence[float] = paddle.stack([loss.astype("float32").mean() for loss in losses]).numpy()
    return values


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
