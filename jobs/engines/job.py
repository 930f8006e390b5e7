"""Engine `job`: an Indexed Job of Kubernetes."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from jobs.engines.state import State, by_conditions, first_moment
from jobs.engines.status import NO_REASON, Observed, Phase, Reason
from jobs.kube.changes import Change, patch
from jobs.kube.fields import at, moment, number, text
from jobs.kube.objects import Object

NAME: Final = "job"
VERSION: Final = "batch/v1"
KIND: Final = "Job"
RANK_LABEL: Final = "batch.kubernetes.io/job-completion-index"

# batch/v1 JobConditionType. Those that decide come first; SuccessCriteriaMet and FailureTarget hold until the
# last pod is gone, and Complete or Failed follows.
CONDITIONS: Final[Mapping[str, Phase | None]] = {
    "Complete": Phase.SUCCEEDED,
    "Failed": Phase.FAILED,
    "FailureTarget": Phase.STOPPING,
    "SuccessCriteriaMet": Phase.STOPPING,
    "Suspended": Phase.STOPPED,
}

_AGAIN: Final = "submit the file again with placement.retry increased by one. It continues from its checkpoint."
DEADLINE: Final = Reason("It ran longer than placement.deadlines.run allows.", f"Increase it, and {_AGAIN}")
# batch/v1 JobReason…, and the reasons of Suspended.
REASONS: Final[Mapping[str, Reason]] = {
    "BackoffLimitExceeded": Reason(
        "More of its pods failed than its Job allows.", f"See `ocrfleet logs {{run}}`, then {_AGAIN}"
    ),
    "DeadlineExceeded": DEADLINE,
    "PodFailurePolicy": Reason("A pod ended with an exit code that a retry cannot fix.", "See `ocrfleet logs {run}`."),
    # Only of Jobs with a limit for each index, which the chart does not make.
    "MaxFailedIndexesExceeded": Reason("More nodes failed than its Job allows.", "See `ocrfleet logs {run}`."),
    "FailedIndexes": Reason("A node failed for good.", "See `ocrfleet logs {run}`."),
    "SuccessPolicy": Reason("The leader has published the model."),
    "CompletionsReached": Reason("All nodes are done."),
    "JobSuspended": NO_REASON,
    "JobResumed": NO_REASON,
}


def pod_selector(name: str) -> str:
    """Return the label selector of an object's pods."""
    return f"batch.kubernetes.io/job-name={name}"


def size(workload: Object) -> int:
    """Return how many nodes it has."""
    return number(workload, "spec", "completions") or 0


def suspended(workload: Object) -> bool:
    """Check whether it is told to have no pods."""
    return at(workload, "spec", "suspend") is True


def pause(workload: Object) -> Change:
    """Return the change that ends its pods and keeps the run."""
    return patch(workload, {"spec": {"suspend": True}})


def resume(workload: Object) -> Change:
    """Return the change that makes its pods again."""
    return patch(workload, {"spec": {"suspend": False}})


def state(observed: Observed) -> State:
    """Return the state of the workload, a Job."""
    return read(observed.workload)


def read(job: Object) -> State:
    """Return the state of any Job."""
    told = by_conditions(job, CONDITIONS, REASONS)
    finished = moment(job, "status", "completionTime") or first_moment(job, ("Complete", "Failed"))
    return replace(told, started=moment(job, "status", "startTime"), finished=finished)


def why_failed(jobs: list[Object]) -> State:
    """Return the state of the first of these Jobs that has failed; one without a phase if none has."""
    told = [read(each) for each in jobs if text(each, "kind") == KIND]
    return next((each for each in told if each.phase in (Phase.FAILED, Phase.STOPPING)), State(phase=None))
