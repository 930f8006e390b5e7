"""Engine `jobset`: a JobSet of one Indexed Job."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from jobs.engines import job
from jobs.engines.state import State, by_conditions, first_moment, unknown_word
from jobs.engines.status import NO_REASON, Observed, Phase, Reason
from jobs.kube.fields import moment, several, text
from jobs.kube.objects import Object

NAME: Final = "jobset"
VERSION: Final = "jobset.x-k8s.io/v1alpha2"
KIND: Final = "JobSet"
RANK_LABEL: Final = job.RANK_LABEL

# jobset.x-k8s.io/v1alpha2 JobSetConditionType.
CONDITIONS: Final[Mapping[str, Phase | None]] = {
    "Completed": Phase.SUCCEEDED,
    "Failed": Phase.FAILED,
    "Suspended": Phase.STOPPED,
    "RestartingJobSet": Phase.WAITING,
    "StartupPolicyInProgress": None,
    "StartupPolicyCompleted": None,
}
# status.terminalState: empty until the JobSet is over, and then one of these.
TERMINAL_STATES: Final[Mapping[str, Phase]] = {"Completed": Phase.SUCCEEDED, "Failed": Phase.FAILED}

_LOGS: Final = "See `ocrfleet logs {run}`."
_RESTARTS: Final = Reason("Its JobSet is re-creating all pods.")
# The reasons of these conditions, in JobSet's constants.
REASONS: Final[Mapping[str, Reason]] = {
    "AllJobsCompleted": Reason("The leader has published the model."),
    "FailedJobs": Reason("Its Job failed.", _LOGS),
    "ReachedMaxRestarts": Reason("Its Job failed, and its JobSet may not restart it.", _LOGS),
    "FailJobSetFailurePolicyAction": Reason("Its Job failed, and the JobSet's failure policy ended it.", _LOGS),
    "SuspendedJobs": NO_REASON,
    "ResumeJobs": NO_REASON,
    "InOrderStartupPolicyInProgress": NO_REASON,
    "InOrderStartupPolicyCompleted": NO_REASON,
    "DefaultFailurePolicy": _RESTARTS,
    "FailurePolicy_RestartJobSet": _RESTARTS,
    "FailurePolicy_RestartJobSetAndIgnoreMaxRestarts": _RESTARTS,
    "JobsReady": NO_REASON,
    "JobSetFailed": Reason("Its Job failed.", _LOGS),
    "JobSetCompleted": Reason("The leader has published the model."),
    "JobSetSuspended": NO_REASON,
}


def pod_selector(name: str) -> str:
    """Return the label selector of an object's pods."""
    return f"jobset.sigs.k8s.io/jobset-name={name}"


def size(workload: Object) -> int:
    """Return how many nodes it has."""
    inner = several(workload, "spec", "replicatedJobs")
    return sum(job.size(each["template"]) for each in inner if isinstance(each.get("template"), Mapping))


suspended = job.suspended
pause = job.pause
resume = job.resume


def state(observed: Observed) -> State:
    """Return the state of the JobSet, with its Job."""
    return read(observed.workload, observed)


def read(jobset: Object, observed: Observed) -> State:
    """Return the state of a JobSet."""
    told = by_conditions(jobset, CONDITIONS, REASONS)
    word = text(jobset, "status", "terminalState")
    if word and word not in TERMINAL_STATES:
        told = State(phase=Phase.UNKNOWN, reason=unknown_word(jobset, word))
    elif word and not (told.phase and told.phase.final):
        told = replace(told, phase=TERMINAL_STATES[word])
    if told.phase is Phase.FAILED:
        # The JobSet only says that its Job failed; that one says why.
        inner = job.why_failed(list(observed.inner))
        reason = inner.reason if inner.reason.text else told.reason
        told = replace(told, reason=reason, decisive=inner.decisive, exit_code=inner.exit_code)
    started = [at for each in observed.inner if (at := moment(each, "status", "startTime"))]
    finished = first_moment(jobset, ("Completed", "Failed"))
    return replace(told, started=min(started, default=None), finished=finished)
