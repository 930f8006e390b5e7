"""What is so with a run on a cluster, in words: what `jobs/engines` make of objects, and commands show."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from jobs.kube.objects import Object


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
    """The run's own, once a pod or its controller has reported it; `jobs/diagnosis/exit_codes.py` has the words."""

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
