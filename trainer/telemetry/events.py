"""What happens in a run, as typed events.

A worker sends them to its supervisor, one JSON object a line on an inherited pipe; the node adds its own. Log, metrics,
VisualDL, report and record are all made of this one stream, so what a user sees and what Prometheus scrapes cannot
differ. docs/reference/events.md documents them from the docstrings here.
"""

import functools
import json
import logging
import operator
import os
from collections.abc import Callable, Iterator, Mapping
from typing import Any, BinaryIO, ClassVar, Final, Literal

import msgspec

from trainer import contract

log = logging.getLogger(__name__)


class Event(msgspec.Struct, frozen=True, kw_only=True, tag_field="event", omit_defaults=True):
    """Something that happened."""

    logged: ClassVar[bool] = True
    """Whether the log shows it."""

    rank: int | None = None
    """Rank of the worker that it happened to; not there: it happened to the node."""


class Ready(Event, frozen=True, kw_only=True, tag="ready"):
    """A worker has met the others and begins with the stage."""

    logged: ClassVar[bool] = False

    pid: int
    """Its process."""


class Finished(Event, frozen=True, kw_only=True, tag="finished"):
    """A worker has done its part of the stage."""

    logged: ClassVar[bool] = False

    facts: dict[str, Any]
    """The results of the stage."""


class Failed(Event, frozen=True, kw_only=True, tag="failed"):
    """A worker could not do its part of the stage. If the run can go on, `restarted` follows."""

    code: int
    """Exit code that it is about to end with."""

    message: str
    """Why, and what to do."""


class Machine(Event, frozen=True, kw_only=True, tag="machine"):
    """What the node has to train with, before it begins."""

    machine: dict[str, Any]
    """Devices, drivers, libraries and limits, as `ocrfleet doctor -o json` prints them."""


class StageBegun(Event, frozen=True, kw_only=True, tag="stage_begun"):
    """A stage of the run begins."""

    stage: str


class StageDone(Event, frozen=True, kw_only=True, tag="stage_done"):
    """A stage of the run is done."""

    stage: str
    seconds: float
    """How long it took."""

    summary: str = ""
    """Its results in a few words."""


class StageSkipped(Event, frozen=True, kw_only=True, tag="stage_skipped"):
    """A stage of the run need not be done."""

    stage: str
    reason: str
    """Why."""


class AttemptBegun(Event, frozen=True, kw_only=True, tag="attempt_begun"):
    """The nodes begin an attempt together."""

    number: int
    """From 1."""


class Restarted(Event, frozen=True, kw_only=True, tag="restarted"):
    """Workers start again from the last checkpoint."""

    reason: Literal["peer-lost", "worker-lost", "diverged"]
    """Another node was lost, a worker of this node was lost, or the loss was not finite."""

    message: str
    """What happened, and from where training goes on."""


class Rehearsed(Event, frozen=True, kw_only=True, tag="rehearsed"):
    """The run was rehearsed. What it will need, estimated from a few samples."""

    batch: int
    """Samples of a device in a step."""

    measured: int
    """Samples in the step that was timed; the rest is extrapolated."""

    step_seconds: float
    """Of a step on the widest samples."""

    run_seconds: float
    """Of training and its evaluations."""

    margin: float
    """Share by which `run_seconds` may be wrong."""

    host_memory_bytes: int
    """Peak memory of a worker."""

    checkpoint_bytes: int
    """Size of a checkpoint."""

    device_memory_bytes: int | None = None
    """Peak memory of a device; not there: on CPU."""

    readers: int | None = None
    """Reader processes per device that keep up with it; not there: on CPU."""


class Started(Event, frozen=True, kw_only=True, tag="started"):
    """Training begins, or goes on from a checkpoint."""

    what: str
    """Begin of a sentence: `Training`, or which networks are distilled."""

    samples: int
    """Training samples of an epoch."""

    epochs: int
    """Of the whole run."""

    steps_per_epoch: int
    """Steps of one epoch."""

    batch: int
    """Samples that a device gets in a step."""

    devices: int
    """Of all nodes."""

    precision: str
    """`fp32`, `tf32`, `fp16` or `bf16`."""

    step: int = 0
    """The last step of the checkpoint; not there: training begins."""


class Step(Event, frozen=True, kw_only=True, tag="step"):
    """Training steps since the event before, looked at together."""

    step: int
    """The last one of them, from 1, over all attempts."""

    steps: int
    """Of the whole run."""

    epoch: int
    """From 1."""

    epochs: int
    """Of the whole run."""

    loss: Mapping[str, float | None]
    """Of the last step, by parts; `loss` is their sum. Null: not a finite number."""

    lr: float
    """Learning rate."""

    samples: int
    """That this worker has seen in these steps."""

    seconds: float
    """That these steps took."""

    reader_seconds: float
    """That its device had nothing to do in them, since no batch of samples was ready. On a GPU by the GPU's clock: what
    the worker waits while the GPU still has work does not count.
    """

    count: int = 1
    """Number of steps."""

    device_memory_bytes: int | None = None
    """Peak memory of the device."""


class Evaluated(Event, frozen=True, kw_only=True, tag="evaluated"):
    """The model was evaluated during training."""

    step: int
    """After which step."""

    epoch: int
    """From 1."""

    metrics: Mapping[str, float | None]
    """By name, with those of a distillation's other networks as `<network>_<metric>`."""

    best: bool
    """Whether it is the best model so far."""

    seconds: float
    """How long it took."""

    network: str | None = None
    """The network of a distillation that is the best."""

    networks: Mapping[str, Mapping[str, float | None]] = {}
    """Metrics of each network of a distillation."""


class Checkpointed(Event, frozen=True, kw_only=True, tag="checkpointed"):
    """The state was saved on the node."""

    step: int
    """After which step."""

    seconds: float
    """How long it took."""


class Uploaded(Event, frozen=True, kw_only=True, tag="uploaded"):
    """A checkpoint is in the bucket."""

    step: int
    """Of the checkpoint."""

    seconds: float
    """How long it took."""


class Transferred(Event, frozen=True, kw_only=True, tag="transferred"):
    """Bytes came from the bucket (`pull`) or went there (`push`)."""

    logged: ClassVar[bool] = False

    direction: Literal["pull", "push"]
    count: int


class Progressed(Event, frozen=True, kw_only=True, tag="progress"):
    """How far a part of a stage is. In the log, at most once in ten seconds."""

    what: str
    """Which part."""

    done: int
    """How much of it is done."""

    total: int
    """How much there is."""

    unit: str = ""
    """What is counted: `images`, `bytes`."""


NAMED: Final = 5
"""Samples that an event names."""


class Refused(Event, frozen=True, kw_only=True, tag="refused"):
    """Samples cannot be used, and are left out."""

    count: int
    """How many."""

    examples: dict[str, str]
    """Why, for at most `NAMED` of them."""


class Published(Event, frozen=True, kw_only=True, tag="published"):
    """The model is published."""

    model: str
    """Where: `<run.output>#<run>`."""

    files: int
    """How many."""

    bytes: int
    """Of all files."""

    channel: str = ""
    """The channel that leads to it; not there: none."""


class Notice(Event, frozen=True, kw_only=True, tag="notice"):
    """Something that a user should know."""

    message: str


class Ended(Event, frozen=True, kw_only=True, tag="ended"):
    """This node's part of the run has ended. Nothing follows, except in a pod that is held on failure."""

    code: int
    """Exit code of the node."""

    message: str = ""
    """Why it failed, and what to do; not there: it did not fail."""

    traceback: str = ""
    """Where, if it is a fault of ocrfleet or of a library."""


KINDS: Final = (
    Ready, Finished, Failed, Machine, StageBegun, StageDone, StageSkipped, AttemptBegun, Restarted, Rehearsed, Started,
    Step,
    Evaluated, Checkpointed, Uploaded, Transferred, Progressed, Refused, Published, Notice, Ended,
)  # fmt: skip

Hear = Callable[[Event], None]
"""Takes an event."""


class Events:
    """The worker's end of the pipe; without a pipe (a stage run by hand) events are dropped."""

    def __init__(self, rank: int, stream: BinaryIO | None) -> None:
        self.rank = rank
        self._stream = stream

    @classmethod
    def from_environment(cls, rank: int) -> "Events":
        """Open the pipe that the supervisor handed down."""
        fd = os.environ.pop(contract.ENV_EVENTS_FD, None)
        # Reader processes must not hold the pipe open: the supervisor takes its end as the worker's.
        if fd is not None:
            os.set_inheritable(int(fd), False)
        return cls(rank, os.fdopen(int(fd), "wb") if fd is not None else None)

    def send(self, event: Event) -> None:
        """Send an event with this worker's rank; a supervisor that is gone is no error here, its end ends us."""
        if self._stream is None:
            return
        self._stream.write(encode(msgspec.structs.replace(event, rank=self.rank)) + b"\n")
        self._stream.flush()


def read(stream: BinaryIO) -> Iterator[Event]:
    """Yield the events of a pipe until its end; a line that is none, or was cut short by a kill, is left out."""
    for line in stream:
        if line.endswith(b"\n"):
            try:
                event = _DECODER.decode(line)
            # The last two: what is no text, and what is nested too deeply.
            except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
                log.warning("A worker wrote a line that is no event (%s). It is left out.", type(error).__name__)
                continue
            yield event


def encode(value: Event | Mapping[str, Any]) -> bytes:
    """Return an event, or its keys, as JSON; what is no number is null, and what is no text is `?`."""
    try:
        return _ENCODER.encode(value)
    except UnicodeEncodeError:  # the name of a file may be no text
        return json.dumps(fields(value), ensure_ascii=False).encode("utf-8", "replace")


def fields(event: Event | Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the keys of an event as JSON has them."""
    found: Mapping[str, Any] = msgspec.to_builtins(event, enc_hook=_plain)
    return found


def _plain(value: object) -> float:
    # PaddleOCR's metrics are numpy's floats, which are floats to Python but not to msgspec.
    if isinstance(value, float):
        return float(value)
    raise TypeError(f"{type(value)} in an event")


_ENCODER: Final = msgspec.json.Encoder(enc_hook=_plain)
_DECODER: Final = msgspec.json.Decoder(functools.reduce(operator.or_, KINDS))
