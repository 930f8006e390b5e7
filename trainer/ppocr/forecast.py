"""What a run will need, from what its rehearsal measured. Paddle-free."""

import math
from dataclasses import dataclass
from typing import Any, Final

from trainer.run.spec import seconds

MARGIN: Final = 0.3
"""Share by which the time of a run may be wrong if a whole batch was measured, since it was in one step only."""

EXTRAPOLATED: Final = 0.5
"""The same if the step was of fewer samples. A larger batch takes less time for each of its samples."""


@dataclass(frozen=True, kw_only=True)
class Measured:
    """What a rehearsal measures."""

    batch: int
    """Samples of a device in a step."""

    measured: int
    """Samples in the step that was timed; if fewer than `batch`, the rest is extrapolated."""

    step_seconds: float
    """Of a step of `batch` of the widest samples."""

    read_seconds: float
    """To make one sample in one process."""

    share: float
    """Mean work of a step, as a share of the widest one's."""

    steps_per_epoch: int
    epochs: int
    evaluation_seconds: float
    """Of reading the evaluation split once, on all devices."""

    host_memory_bytes: int
    """Peak of a worker, for a whole batch."""

    checkpoint_bytes: int
    device_memory_bytes: int | None = None
    """Peak of the device; None: on CPU."""


def forecast(measured: Measured, *, evaluate_every: str, readers: int, cores: int) -> dict[str, Any]:
    """Return the fields of `events.Rehearsed`.

    Args:
        measured: by a rehearsal.
        evaluate_every: `run.train.evaluateEvery`.
        readers: processes that read for a worker; 0: a thread of its own does.
        cores: for each worker.
    """
    steps = measured.steps_per_epoch * measured.epochs
    computing, reading = measured.step_seconds * measured.share, measured.batch * measured.read_seconds
    if readers:
        step = max(computing, reading / readers)
    else:
        step = max(computing, reading) if cores > 1 else computing + reading
    training = steps * step
    evaluations = _evaluations(evaluate_every, steps=steps, epochs=measured.epochs, training=training)
    return {
        "batch": measured.batch,
        "measured": measured.measured,
        "step_seconds": measured.step_seconds,
        "run_seconds": training + evaluations * measured.evaluation_seconds,
        "margin": MARGIN if measured.measured == measured.batch else EXTRAPOLATED,
        "host_memory_bytes": measured.host_memory_bytes,
        "device_memory_bytes": measured.device_memory_bytes,
        "checkpoint_bytes": measured.checkpoint_bytes,
        "readers": math.ceil(reading / computing) if measured.device_memory_bytes is not None else None,
    }


def _evaluations(every: str, *, steps: int, epochs: int, training: float) -> int:
    """Return how often a run evaluates: at least once, at its end."""
    if every.endswith("ep"):
        count = epochs // int(every[:-2])
    elif every.endswith("steps"):
        count = steps // int(every[:-5])
    else:
        count = int(training / seconds(every))
    return max(1, count)
