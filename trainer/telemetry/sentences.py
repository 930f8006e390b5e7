"""What happened, in words: the message of a line of the log."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

from trainer.formats.printable import in_one_line
from trainer.telemetry.events import (
    AttemptBegun,
    Checkpointed,
    Ended,
    Evaluated,
    Event,
    Failed,
    Machine,
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
        case Machine(machine=facts):
            return machine(facts)
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


def machine(facts: Mapping[str, Any]) -> str:
    """Describe a machine, whose facts are those of `trainer.system.machine`."""
    return (
        f"This node has {'; '.join(filter(None, [_devices(facts['driver']), _paddle(facts['paddle']), _room(facts)]))}."
    )


def _devices(driver: Mapping[str, Any]) -> str:
    kinds = Counter((each["name"], each["memory"]) for each in driver["devices"])
    found = [f"{count} × {name} ({size(memory)})" for (name, memory), count in kinds.items()]
    if driver["error"]:
        found = [f"a CUDA driver that does not work ({driver['error']})"]
    return ", ".join([*found, f"driver {driver['version']}"] if driver["version"] else found)


def _paddle(paddle: Mapping[str, Any] | None) -> str:
    if paddle is None:
        return "no PaddlePaddle"
    if paddle["cuda"] is None:
        return f"PaddlePaddle {paddle['version']} for CPUs"
    names = {"CUDA": "cuda", "cuDNN": "cudnn", "NCCL": "nccl"}
    inside = ", ".join(f"{name} {paddle[key]}" for name, key in names.items() if paddle[key])
    return f"PaddlePaddle {paddle['version']} with {inside}"


def _room(facts: Mapping[str, Any]) -> str:
    cores = f"{facts['cores']} core{'' if facts['cores'] == 1 else 's'}"
    if facts["cpu_limit"]:
        cores += f" (limit {facts['cpu_limit']:g})"
    found = [cores, f"{size(facts['memory_limit'] or facts['memory'] or 0)} of memory"]
    if facts["shared_memory"] is not None:
        found.append(f"{size(facts['shared_memory'])} in /dev/shm")
    return ", ".join([*found, f"memlock {'unlimited' if facts['memlock'] is None else size(facts['memlock'])}"])


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
