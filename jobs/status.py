"""What is so with a run on a cluster, in words: what `jobs/engines` make of objects, and commands show."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final

from trainer.contract import ExitCode

Object = Mapping[str, Any]
"""An object of Kubernetes, as the API server's JSON."""


class Phase(StrEnum):
    """Where a run stands: one word a user can act on."""

    QUEUED = "Queued"
    """Held by a queue: no pod is made before there is room for all of them."""
    WAITING = "Waiting"
    """Not all nodes run: pods are missing, not placed, not started, or lost and on their way back."""
    RUNNING = "Running"
    """All nodes run, or have done their part."""
    STOPPING = "Stopping"
    """Its pods are told to end, and write their checkpoint first."""
    STOPPED = "Stopped"
    """No pod is left; the run goes on when it is resumed."""
    SUCCEEDED = "Succeeded"
    """The model is published."""
    FAILED = "Failed"
    """It is over, and the exit code says whether a retry helps."""
    SUPERSEDED = "Superseded"
    """A newer object of the same run has taken over."""
    UNKNOWN = "Unknown"
    """The controller says a word that this version does not know; the reason has it."""

    @property
    def final(self) -> bool:
        """Tell whether nothing will change by itself any more."""
        return self in (Phase.SUCCEEDED, Phase.FAILED, Phase.SUPERSEDED)


class NodePhase(StrEnum):
    """Where one node of a run stands."""

    MISSING = "Missing"
    """It has no pod."""
    PENDING = "Pending"
    """Its pod has no machine yet."""
    STARTING = "Starting"
    """Its pod is on a machine and does not run yet."""
    RUNNING = "Running"
    STOPPING = "Stopping"
    """Its pod is told to end."""
    LOST = "Lost"
    """Its machine does not answer."""
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"
    UNKNOWN = "Unknown"


@dataclass(frozen=True)
class Reason:
    """Why something is as it is, and what to do about it."""

    text: str = ""
    """A sentence that says what is so. Empty: nothing is out of order."""

    advice: str = ""
    """A sentence that says what to do next, with the command; empty where there is nothing to do."""

    def __str__(self) -> str:
        return " ".join(part for part in (self.text, self.advice) if part)


NO_REASON: Final = Reason()


@dataclass(frozen=True, kw_only=True)
class NodeStatus:
    """One node of a run: the newest pod of its rank."""

    rank: int
    """Its place in the gang; 0 leads."""

    phase: NodePhase
    reason: Reason = NO_REASON

    pod: str | None = None
    """Name of its newest pod."""

    machine: str | None = None
    """Name of the Kubernetes node that the pod is on."""

    restarts: int = 0
    """How many pods of this rank have ended before this one, and how often its container was started again."""

    exit_code: int | None = None
    """Of its container, when that has ended."""

    started: datetime | None = None
    finished: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class QueueStatus:
    """What Kueue, or Volcano's queue, says of a run."""

    name: str
    """The queue that the job file names, `placement.queue`."""

    cluster_queue: str | None = None
    """The ClusterQueue that has given it its quota."""

    active: bool = True
    """False after `ocrfleet stop`: the queue lets it rest."""

    admitted: datetime | None = None
    """Since when it has its quota; None while it waits."""

    waited: timedelta | None = None
    """How long it has waited in the queue: until it got its quota, or until now."""

    evictions: int = 0
    """How often it had to give its quota back."""


@dataclass(frozen=True, kw_only=True)
class Status:
    """A run on a cluster, as one of its objects shows it."""

    run: str
    """The run's id."""

    name: str
    """The object's name."""

    engine: str
    """The engine that made it: `job`, `jobset`, …"""

    phase: Phase
    reason: Reason = NO_REASON
    nodes: tuple[NodeStatus, ...] = ()
    """By rank. Empty when nothing says how many there are."""

    exit_code: int | None = None
    """The run's own, once it is over and a pod or its controller has told it. See `meaning`."""

    created: datetime | None = None
    started: datetime | None = None
    """When the first pod could start; None before."""

    finished: datetime | None = None
    queue: QueueStatus | None = None

    @property
    def final(self) -> bool:
        """Tell whether it is over."""
        return self.phase.final

    @property
    def restarts(self) -> int:
        """Give how many pods were lost on the way, over all nodes."""
        return sum(node.restarts for node in self.nodes)


@dataclass(frozen=True, kw_only=True)
class Observed:
    """The objects that say what is so with a run, all read at one time.

    Only the workload must be there: what may not be read is left out, and the reason says less.
    """

    workload: Object
    """The Job, JobSet, TrainJob, Volcano Job or PaddleJob."""

    now: datetime
    """When they were read, with its time zone."""

    pods: Sequence[Object] = ()
    """The workload's pods, by the engine's `pod_selector`."""

    inner: Sequence[Object] = ()
    """What its controller has made between it and the pods: Jobs, JobSets, PodGroups."""

    events: Sequence[Object] = ()
    """Events of these."""

    queued: Object | None = None
    """Kueue's Workload that the workload, or one of `inner`, owns."""

    rivals: Sequence[Object] = ()
    """Other Workloads of Kueue that hold quota of the same ClusterQueue."""

    machines: Sequence[Object] | None = None
    """The cluster's Nodes; None if they may not be read."""

    neighbours: Sequence[Object] | None = None
    """Pods of all namespaces, which hold devices of these; None if they may not be read."""


@dataclass(frozen=True, kw_only=True)
class Meaning:
    """An exit code of the contract in words."""

    text: str
    """What happened, as the end of a sentence: 'the dataset is wrong'."""

    advice: str
    """What to do next; `{run}` stands for the run's id."""

    retry: bool
    """Starting the same run again can help."""


MEANINGS: Final[Mapping[int, Meaning]] = {
    ExitCode.DONE: Meaning(text="it is done", advice="", retry=False),
    ExitCode.FAILED: Meaning(
        text="a fault of ocrfleet or of a library under it ended it",
        advice="Look for the traceback in `ocrfleet logs {run}` and report it.",
        retry=True,
    ),
    ExitCode.USAGE: Meaning(
        text="the trainer's command line is wrong",
        advice="Check that image and chart are of one version: `ocrfleet version`.",
        retry=False,
    ),
    ExitCode.SPEC: Meaning(
        text="the job file is wrong",
        advice="Mend what `ocrfleet logs {run}` names, and submit the file again.",
        retry=False,
    ),
    ExitCode.DATASET: Meaning(
        text="the dataset is wrong",
        advice="Run `ocrfleet data check` on it, mend it, and submit the file again with placement.retry one higher.",
        retry=False,
    ),
    ExitCode.ACCESS: Meaning(
        text="access to the bucket was refused",
        advice="Mend the credentials or the rights, and submit the file again with placement.retry one higher.",
        retry=False,
    ),
    ExitCode.GATE: Meaning(
        text="the model did not pass its gate",
        advice="Look at `ocrfleet logs {run}`; train longer or lower run.gate.",
        retry=False,
    ),
    ExitCode.DIVERGED: Meaning(
        text="the loss became NaN or infinite",
        advice="Lower the learning rate in run.overrides; `ocrfleet logs {run}` names the samples.",
        retry=False,
    ),
    ExitCode.STALLED: Meaning(
        text="several attempts made no progress",
        advice="Look at `ocrfleet logs {run}`, and submit the file again with placement.retry one higher.",
        retry=False,
    ),
    ExitCode.SUPERSEDED: Meaning(
        text="a newer object of the same run took over", advice="Watch that: `ocrfleet watch {run}`.", retry=False
    ),
    ExitCode.SUSPENDED: Meaning(
        text="the schedule is suspended after repeated failures",
        advice="Mend the cause, then `ocrfleet schedule resume`.",
        retry=False,
    ),
    ExitCode.TRANSIENT: Meaning(
        text="a peer, the network or a disk failed for longer than the retries last",
        advice="Look at `ocrfleet logs {run}`, and submit the file again with placement.retry one higher.",
        retry=True,
    ),
    ExitCode.STOPPED: Meaning(
        text="it was told to stop", advice="`ocrfleet resume {run}` goes on from its checkpoint.", retry=True
    ),
}
"""Every code of the contract; a test holds it to that."""


def meaning(code: int) -> Meaning:
    """Give what an exit code says, those of other programs and of signals too."""
    if known := MEANINGS.get(code):
        return known
    advice = "Look at `ocrfleet logs {run}`, and submit the file again with placement.retry one higher."
    if code > _SIGNALS:
        return Meaning(text=f"signal {code - _SIGNALS} killed it", advice=advice, retry=True)
    return Meaning(text=f"it ended with exit code {code}, which is none of ocrfleet's", advice=advice, retry=True)


_SIGNALS: Final = 128
"""What a shell and Kubernetes add to a signal's number."""
