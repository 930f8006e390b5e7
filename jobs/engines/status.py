"""Status of a run on a cluster: phase, reason, nodes."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from jobs.kube.objects import Object


class Phase(StrEnum):
    """The phase of a run."""

    QUEUED = "Queued"
    """Held by a queue: no pod is created before there is room for all of them."""
    WAITING = "Waiting"
    """Not all nodes run: pods are missing, not scheduled, not started, or lost and being replaced."""
    RUNNING = "Running"
    """All nodes run, or have done their part."""
    STOPPING = "Stopping"
    """Its pods are ending, after a checkpoint."""
    STOPPED = "Stopped"
    """No pod is left. The run can be resumed."""
    SUCCEEDED = "Succeeded"
    """The model is published."""
    FAILED = "Failed"
    """It has failed; the exit code says whether a retry can help."""
    SUPERSEDED = "Superseded"
    """A newer object of the same run has taken over."""
    UNKNOWN = "Unknown"
    """The controller reports a state that this version does not know; the reason names it."""

    @property
    def final(self) -> bool:
        """Check whether the phase can no longer change by itself."""
        return self in (Phase.SUCCEEDED, Phase.FAILED, Phase.SUPERSEDED)


class NodePhase(StrEnum):
    """The phase of one node of a run."""

    MISSING = "Missing"
    """It has no pod."""
    PENDING = "Pending"
    """Its pod has no machine yet."""
    STARTING = "Starting"
    """Its pod is on a machine and does not run yet."""
    RUNNING = "Running"
    STOPPING = "Stopping"
    """Its pod is ending."""
    LOST = "Lost"
    """Its machine does not respond."""
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"
    UNKNOWN = "Unknown"


@dataclass(frozen=True)
class Reason:
    """The reason for a state, and the next step."""

    text: str = ""
    """A sentence about the state. Empty: nothing is wrong."""

    advice: str = ""
    """A sentence about the next step, with the command. Empty: nothing to do."""

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
    """Status of a run in a queue of Kueue or Volcano."""

    name: str
    """The queue that the job file names, `placement.queue`."""

    cluster_queue: str | None = None
    """The ClusterQueue that has given it its quota."""

    active: bool = True
    """False after `ocrfleet stop`."""

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
        """Check whether it has finished."""
        return self.phase.final

    @property
    def restarts(self) -> int:
        """Return how many pods were lost on the way, over all nodes."""
        return sum(node.restarts for node in self.nodes)


@dataclass(frozen=True, kw_only=True)
class Observed:
    """The objects that determine a run's status, all read at one time.

    Only the workload is required. What may not be read is left out, and the reason has less detail.
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
