"""The nodes of a run, each from the newest pod of its rank."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Final

from jobs.diagnosis.admission import why_no_pod
from jobs.diagnosis.containers import exit_code, of_trainer, why_ended, why_not_started
from jobs.diagnosis.scheduling import why_not_placed
from jobs.engines import job
from jobs.engines.status import NO_REASON, NodePhase, NodeStatus, Observed, Reason
from jobs.kube.fields import at, condition, holds, label, moment, name_of, number, one_line, run_of, several, text
from jobs.kube.objects import Object

# core/v1 PodPhase. Pending and Running are looked into.
PHASES: Final[Mapping[str, NodePhase]] = {
    "Pending": NodePhase.PENDING,
    "Running": NodePhase.RUNNING,
    "Succeeded": NodePhase.SUCCEEDED,
    "Failed": NodePhase.FAILED,
    "Unknown": NodePhase.LOST,
}

_BACK: Final = "A new pod replaces it and continues from the checkpoint."
# The reasons of a pod's condition DisruptionTarget.
DISRUPTIONS: Final[Mapping[str, Reason]] = {
    "PreemptionByScheduler": Reason("a pod of higher priority preempts it", _BACK),
    "DeletionByTaintManager": Reason("its Kubernetes node {machine} is tainted or does not respond", _BACK),
    "EvictionByEvictionAPI": Reason("it is being evicted, such as by `kubectl drain`", _BACK),
    "DeletionByPodGC": Reason("its Kubernetes node {machine} is gone", _BACK),
    "TerminationByKubelet": Reason("its Kubernetes node {machine} terminates it: {message}", _BACK),
}
# status.reason of a pod that the kubelet or a controller ended.
ENDINGS: Final[Mapping[str, Reason]] = {
    "Evicted": Reason(
        "its Kubernetes node {machine} evicted it: {message}", "Check placement.storage and the memory limit."
    ),
    "Terminated": Reason("its Kubernetes node {machine} was shut down", _BACK),
    "NodeShutdown": Reason("its Kubernetes node {machine} was shut down", _BACK),
    "NodeLost": Reason("its Kubernetes node {machine} is lost", _BACK),
    "Preempting": Reason("a pod of higher priority preempted it", _BACK),
    "DeadlineExceeded": Reason("it ran longer than placement.deadlines.run allows", job.DEADLINE.advice),
    "UnexpectedAdmissionError": Reason("its Kubernetes node {machine} refused it: {message}", _BACK),
    "NodeAffinity": Reason("its Kubernetes node {machine} no longer fits placement.nodeSelector", _BACK),
}
_NO_ROOM: Final = Reason("its Kubernetes node {machine} had no room for it: {message}", _BACK)


def nodes(observed: Observed, *, size: int, rank_label: str) -> tuple[NodeStatus, ...]:
    """Return the status of every node, by rank. A rank without a pod is missing."""
    of: dict[int, list[Object]] = {}
    for pod in observed.pods:
        if (rank := _rank(pod, rank_label)) is not None:
            of.setdefault(rank, []).append(pod)
    count = max(min(size, _MOST), 1 + max(of, default=-1))
    refused = why_no_pod(observed.events) if len(of) < count else NO_REASON
    return tuple(_node(rank, of.get(rank, []), observed, refused) for rank in range(count))


_MOST: Final = 10_000
"""More nodes than any run has; larger numbers are ignored."""


def _rank(pod: Object, rank_label: str) -> int | None:
    word = label(pod, rank_label)
    return int(word) if word.isascii() and word.isdigit() and int(word) < _MOST else None


def _node(rank: int, pods: Sequence[Object], observed: Observed, refused: Reason) -> NodeStatus:
    if not pods:
        return NodeStatus(rank=rank, phase=NodePhase.MISSING, reason=_facts(refused, {}, observed, rank))
    # Most ranks have one pod, and a list of runs has thousands.
    pod = max(pods, key=_made) if len(pods) > 1 else pods[0]
    phase, reason = _phase(pod, observed)
    status = of_trainer(pod)
    again = sum(number(each, "restartCount") or 0 for each in several(pod, "status", "containerStatuses"))
    return NodeStatus(
        rank=rank,
        phase=phase,
        reason=_facts(reason, pod, observed, rank),
        pod=name_of(pod) or None,
        machine=text(pod, "spec", "nodeName") or None,
        restarts=len(pods) - 1 + again,
        exit_code=exit_code(pod),
        started=moment(status, "state", "running", "startedAt") or moment(status, "state", "terminated", "startedAt"),
        finished=moment(status, "state", "terminated", "finishedAt"),
    )


def _made(pod: Object) -> datetime:
    return moment(pod, "metadata", "creationTimestamp") or _BEGINNING


_BEGINNING: Final = datetime.min.replace(tzinfo=UTC)


def _phase(pod: Object, observed: Observed) -> tuple[NodePhase, Reason]:
    word = text(pod, "status", "phase")
    phase = PHASES.get(word, NodePhase.UNKNOWN if word else NodePhase.PENDING)
    if phase is NodePhase.UNKNOWN:
        return phase, Reason(f"its pod has the phase '{one_line(word)}', which this version of ocrfleet does not know")
    if phase is NodePhase.SUCCEEDED:
        return phase, NO_REASON
    if phase is NodePhase.FAILED:
        return phase, _failure(pod)
    if phase is NodePhase.LOST or _silent(pod, observed):
        return NodePhase.LOST, _LOST
    if text(pod, "metadata", "deletionTimestamp"):
        return NodePhase.STOPPING, _disruption(pod)
    if holds(pod, "DisruptionTarget"):
        return NodePhase.STOPPING, _disruption(pod)
    return _alive(pod, phase, observed)


def _alive(pod: Object, phase: NodePhase, observed: Observed) -> tuple[NodePhase, Reason]:
    placed = text(pod, "spec", "nodeName") or holds(pod, "PodScheduled")
    if phase is NodePhase.PENDING and not placed:
        return phase, why_not_placed(pod, observed)
    if isinstance(at(of_trainer(pod), "state", "waiting"), Mapping) or phase is NodePhase.PENDING:
        return NodePhase.STARTING, why_not_started(pod, observed.events)
    # The container's end is known before the pod's.
    code = exit_code(pod)
    if code is not None:
        phase = NodePhase.FAILED if code else NodePhase.SUCCEEDED
    return phase, why_ended(pod)


def _failure(pod: Object) -> Reason:
    word = text(pod, "status", "reason")
    disrupted = _disruption(pod)
    ended = why_ended(pod)
    # A removed node ends with 143 or is killed; the removal explains more than the code.
    if word in ENDINGS or word.startswith("OutOf"):
        return _with_message(ENDINGS.get(word, _NO_ROOM), text(pod, "status", "message"))
    if disrupted.text:
        return disrupted
    if ended.text:
        return ended
    message = one_line(text(pod, "status", "message")) or word or "no reason given"
    return Reason(f"its pod failed: {message}", "See `kubectl describe pod {pod}`.")


def _disruption(pod: Object) -> Reason:
    if not holds(pod, "DisruptionTarget"):
        return NO_REASON
    decided = condition(pod, "DisruptionTarget") or {}
    message = text(decided, "message")
    known = DISRUPTIONS.get(text(decided, "reason"))
    return _with_message(known or Reason("it is being removed: {message}", _BACK), message or text(decided, "reason"))


def _silent(pod: Object, observed: Observed) -> bool:
    """Check whether the pod's Kubernetes node no longer responds; the pod's status is stale then."""
    if not observed.machines:
        return False
    name = text(pod, "spec", "nodeName")
    machine = next((each for each in observed.machines if name and name_of(each) == name), None)
    ready = condition(machine, "Ready") if machine else None
    return ready is not None and text(ready, "status") == "Unknown"


_LOST: Final = Reason(
    "its Kubernetes node {machine} does not respond. No new pod can replace it until the node is back or deleted",
    "If it is gone for good: `kubectl delete node {machine}`. Otherwise see `kubectl describe node {machine}`.",
)


def _with_message(reason: Reason, message: str) -> Reason:
    return Reason(reason.text.replace("{message}", one_line(message) or "no message"), reason.advice)


def _facts(reason: Reason, pod: Object, observed: Observed, rank: int) -> Reason:
    """Fill in the names in a sentence."""
    names = {
        "machine": text(pod, "spec", "nodeName"),
        "pod": name_of(pod),
        "run": run_of(observed.workload),
        "rank": str(rank),
    }
    return fill(reason, names)


def fill(reason: Reason, names: Mapping[str, str]) -> Reason:
    """Replace `{run}` and the like by names. Braces in messages of other programs stay unchanged."""
    if "{" not in reason.text and "{" not in reason.advice:
        return reason
    words, advice = reason.text, reason.advice
    for key, value in names.items():
        words, advice = words.replace(f"{{{key}}}", value), advice.replace(f"{{{key}}}", value)
    return Reason(words, advice)
