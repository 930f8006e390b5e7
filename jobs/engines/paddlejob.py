"""Engine `paddlejob`: a PaddleJob of Kubeflow's training operator, version 1."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from jobs.engines.job import DEADLINE
from jobs.engines.state import State, by_conditions, first_moment
from jobs.engines.status import NO_REASON, Observed, Phase, Reason
from jobs.kube.changes import Change, patch
from jobs.kube.fields import at, condition, moment, number, text
from jobs.kube.objects import Object

NAME: Final = "paddlejob"
VERSION: Final = "kubeflow.org/v1"
KIND: Final = "PaddleJob"
RANK_LABEL: Final = "training.kubeflow.org/replica-index"

# kubeflow.org/v1 JobConditionType. Created stays true for good, and Running until something else is.
CONDITIONS: Final[Mapping[str, Phase | None]] = {
    "Succeeded": Phase.SUCCEEDED,
    "Failed": Phase.FAILED,
    "Suspended": Phase.STOPPED,
    "Restarting": Phase.WAITING,
    "Running": None,
    "Created": None,
}
# The operator's reasons repeat its conditions; only its messages have details.
REASONS: Final[Mapping[str, Reason]] = {
    "PaddleJobCreated": NO_REASON,
    "PaddleJobRunning": NO_REASON,
    "PaddleJobRestarting": Reason("A node failed, and its controller is creating a new pod."),
    "PaddleJobSucceeded": Reason("The leader has published the model."),
    "PaddleJobSuspended": NO_REASON,
    "PaddleJobResumed": NO_REASON,
}


_DEADLINE: Final = "active longer than specified deadline"
"""How the operator's message says so; its reason is the same for every failure."""


def pod_selector(name: str) -> str:
    """Return the label selector of an object's pods."""
    return f"training.kubeflow.org/job-name={name}"


def size(workload: Object) -> int:
    """Return how many nodes it has."""
    return number(workload, "spec", "paddleReplicaSpecs", "Worker", "replicas") or 0


def suspended(workload: Object) -> bool:
    """Check whether it is told to have no pods."""
    return at(workload, "spec", "runPolicy", "suspend") is True


def pause(workload: Object) -> Change:
    """Return the change that ends its pods and keeps the run."""
    return patch(workload, {"spec": {"runPolicy": {"suspend": True}}})


def resume(workload: Object) -> Change:
    """Return the change that makes its pods again."""
    return patch(workload, {"spec": {"runPolicy": {"suspend": False}}})


def state(observed: Observed) -> State:
    """Return the state of the PaddleJob."""
    job = observed.workload
    told = by_conditions(job, CONDITIONS, REASONS)
    if _DEADLINE in text(condition(job, "Failed") or {}, "message"):
        told = replace(told, reason=DEADLINE, decisive=True)
    finished = first_moment(job, ("Succeeded", "Failed"))
    return replace(told, started=moment(job, "status", "startTime"), finished=finished)
