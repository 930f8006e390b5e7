"""What happened, in words: the message of a line of the log."""

from collections.abc import Mapping

from trainer.formats.printable import in_one_line
from trainer.telemetry.events import (
    AttemptBegun,
    Checkpointed,
    Ended,
    Evaluated,
    Event,
    Failed,
    Notice,
    Progressed,
    Published,
    Refused,
    Rehearsed,
    Restarted,
    StageDone,
    StageSkipped,
    Started,
    Uploaded,
)
from trainer.telemetry.units import duration, size


def sentence(event: Event) -> str:
    """Return what an event says to people, in one line; empty where its kind says all.

    Steps are not among them: see `Console`, which knows the speed of all workers.
    """
    return in_one_line(_sentence(event))


def _sentence(event: Event) -> str:
    match event:
        case StageDone(summary=summary, seconds=seconds):
            return f"{summary} ({duration(seconds)})".lstrip()
        case StageSkipped(reason=reason):
            return reason
        case AttemptBegun(number=number):
            return f"Attempt {number} begins." if number > 1 else ""
        case Rehearsed():
            return _rehearsed(event)
        case Started():
            return _started(event)
        case Evaluated():
            return _evaluated(event)
        case Checkpointed(step=step, seconds=seconds):
            return f"checkpoint at step {step} in {duration(seconds)}"
        case Uploaded(step=step, seconds=seconds):
            return f"checkpoint at step {step} uploaded in {duration(seconds)}"
        case Progressed():
            return _progressed(event)
        case Refused():
            return _refused(event)
        case Published():
            channel = f", channel {event.channel}" if event.channel else ""
            return f"Published {event.model}: {event.files} files, {size(event.bytes)}{channel}."
        case Failed(message=message, rank=rank):
            return message if rank is None else f"rank {rank}: {message}"
        case Ended(message=message):
            return f"error: {message}" if message else ""
        case Restarted(message=message) | Notice(message=message):
            return message
    return ""


def metrics(values: Mapping[str, float | None]) -> str:
    """Spell metrics."""
    return ", ".join(f"{name} {_number(value)}" for name, value in values.items())


def _number(value: float | None) -> str:
    return "nan" if value is None else f"{value:.4f}"


def _rehearsed(event: Rehearsed) -> str:
    least, most = (event.run_seconds * (1 + sign * event.margin) for sign in (-1, 1))
    of = "" if event.measured == event.batch else f", estimated from {event.measured}"
    device = f", {size(event.device_memory_bytes)} of the device" if event.device_memory_bytes is not None else ""
    readers = f"; {event.readers} reader processes keep up" if event.readers is not None else ""
    return (
        f"Training takes {duration(least)} to {duration(most)} (a step of {event.batch} samples "
        f"{duration(event.step_seconds)}{of}); a worker {size(event.host_memory_bytes)} of memory{device}; "
        f"a checkpoint {size(event.checkpoint_bytes)}{readers}."
    )


def _started(event: Started) -> str:
    resuming = f", resuming after step {event.step}" if event.step else ""
    return (
        f"{event.what} {event.samples} samples, {event.epochs} epochs of {event.steps_per_epoch} steps, batch "
        f"{event.batch} × {event.devices} devices, {event.precision}{resuming}."
    )


def _evaluated(event: Evaluated) -> str:
    best = " (best so far)" if event.best else ""
    spent = duration(event.seconds)
    return f"epoch {event.epoch}, step {event.step}, evaluated in {spent}: {metrics(event.metrics)}{best}"


def _progressed(event: Progressed) -> str:
    if event.unit == "bytes":
        return f"{event.what} {size(event.done)} of {size(event.total)}".lstrip()
    return f"{event.what} {event.done}/{event.total} {event.unit}".strip()


def _refused(event: Refused) -> str:
    named = [f"{source}: {why}" for source, why in event.examples.items()]
    if event.count > len(named):
        named.append(f"and {event.count - len(named)} more")
    samples = "1 sample" if event.count == 1 else f"{event.count} samples"
    return f"{samples} left out: {'; '.join(named)}"
