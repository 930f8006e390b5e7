"""Engine `volcano`: a Job of Volcano."""

from collections.abc import Mapping
from typing import Final

from jobs.engines.state import State, unknown_word
from jobs.engines.status import NO_REASON, Observed, Phase, Reason
from jobs.kube.changes import Change
from jobs.kube.fields import condition, moment, name_of, number, one_line, several, text
from jobs.kube.objects import Object

NAME: Final = "volcano"
VERSION: Final = "batch.volcano.sh/v1alpha1"
KIND: Final = "Job"
RANK_LABEL: Final = "volcano.sh/task-index"

# batch.volcano.sh/v1alpha1 JobPhase. None: its pods say more.
PHASES: Final[Mapping[str, Phase | None]] = {
    "": None,
    "Pending": Phase.QUEUED,
    "Aborting": Phase.STOPPING,
    "Aborted": Phase.STOPPED,
    "Running": None,
    "Restarting": Phase.WAITING,
    "Completing": Phase.STOPPING,
    "Completed": Phase.SUCCEEDED,
    "Terminating": Phase.STOPPING,
    "Terminated": Phase.FAILED,
    "Failed": Phase.FAILED,
}
_WORDS: Final[Mapping[str, Reason]] = {
    "Restarting": Reason("Volcano is re-creating all its pods."),
    "Completing": Reason("The leader has published the model. The other nodes are ending."),
    "Completed": Reason("The leader has published the model."),
    "Terminating": Reason("Volcano is terminating it.", "See `ocrfleet logs {run}`."),
    "Terminated": Reason("Volcano terminated it.", "See `ocrfleet logs {run}`."),
    "Failed": Reason("More of its pods failed than its Job allows.", "See `ocrfleet logs {run}`."),
}
# scheduling.volcano.sh/v1beta1 PodGroupPhase, while the Job waits.
GROUP_PHASES: Final[Mapping[str, Reason]] = {
    "Pending": Reason("Its queue does not have room for all of its nodes."),
    "Inqueue": Reason("Its queue has admitted it, and Volcano is scheduling all of its nodes."),
    "Running": NO_REASON,
    "Unknown": Reason("Some of its nodes run; the others cannot be scheduled."),
    "Completed": NO_REASON,
}


def pod_selector(name: str) -> str:
    """Return the label selector of an object's pods."""
    return f"volcano.sh/job-name={name}"


def size(workload: Object) -> int:
    """Return how many nodes it has."""
    return sum(number(task, "replicas") or 0 for task in several(workload, "spec", "tasks"))


def suspended(workload: Object) -> bool:
    """Check whether it is told to have no pods: Volcano has no such field, but for its phase."""
    return text(workload, "status", "state", "phase") in ("Aborting", "Aborted")


def pause(workload: Object) -> Change:
    """Return the command that ends its pods and keeps the run."""
    return _command(workload, "AbortJob")


def resume(workload: Object) -> Change:
    """Return the command that makes its pods again."""
    return _command(workload, "ResumeJob")


def state(observed: Observed) -> State:
    """Return the state of Volcano's Job, with its PodGroup."""
    job = observed.workload
    word = text(job, "status", "state", "phase")
    if word not in PHASES:
        return State(phase=Phase.UNKNOWN, reason=unknown_word(job, word))
    phase = PHASES[word]
    reason = _waiting(observed) if phase in (Phase.QUEUED, None) else _said(job, word)
    if phase is Phase.QUEUED and observed.pods:
        phase = None  # let in: its pods say where they stand
    since = moment(job, "status", "state", "lastTransitionTime")
    return State(phase=phase, reason=reason, finished=since if phase and phase.final else None)


def _said(job: Object, word: str) -> Reason:
    known = _WORDS.get(word, NO_REASON)
    message = one_line(text(job, "status", "state", "message"))
    return Reason(f"{known.text} Message: {message}.", known.advice) if message and known.advice else known


def _waiting(observed: Observed) -> Reason:
    groups = [each for each in observed.inner if text(each, "kind") == "PodGroup"]
    if not groups:
        return NO_REASON
    group = groups[0]
    held = condition(group, "Unschedulable") or {}
    advice = f"See `kubectl describe podgroup {name_of(group)}`."
    if text(held, "status") == "True" and (message := one_line(text(held, "message"))):
        return Reason(f"Volcano cannot place all of its nodes: {message}.", advice)
    word = text(group, "status", "phase")
    known = GROUP_PHASES.get(word, unknown_word(group, word) if word else NO_REASON)
    return Reason(known.text, advice) if known.text else known


def _command(workload: Object, action: str) -> Change:
    """Return a Command of Volcano's bus: the only way to stop one of its Jobs and keep it."""
    name = name_of(workload)
    target = {
        "apiVersion": VERSION,
        "kind": KIND,
        "name": name,
        "uid": text(workload, "metadata", "uid"),
        "controller": True,
        "blockOwnerDeletion": True,
    }
    begins = f"{name}-{action.lower()}-"
    body = {
        "apiVersion": "bus.volcano.sh/v1alpha1",
        "kind": "Command",
        "metadata": {"generateName": begins, "ownerReferences": [target]},
        "action": action,
        "target": target,
    }
    return Change(verb="create", version="bus.volcano.sh/v1alpha1", kind="Command", name=begins, body=body)
