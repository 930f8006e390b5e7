"""Why the scheduler cannot place a pod: its message explained, and who holds the capacity."""

import re
from collections.abc import Callable
from typing import Final

from jobs.diagnosis.capacity import PATIENCE, nearest, rooms, wanted
from jobs.engines.status import NO_REASON, Observed, Reason
from jobs.kube.fields import condition, one_line, text
from jobs.kube.objects import Object

# The scheduler's reasons for a Kubernetes node, with their counts left out; the first that fits counts.
_FILTERS: Final[tuple[tuple[str, str, str], ...]] = (
    (r"untolerated taint", "by a taint that the pod does not tolerate", "Add the taint to placement.tolerations."),
    (
        r"didn't match Pod's node affinity/selector",
        "by placement.nodeSelector or chart.affinity",
        "See `kubectl get nodes --show-labels`.",
    ),
    (r"didn't match pod (anti-)?affinity", "by chart.affinity or chart.topology", "Relax these rules."),
    (r"didn't match pod topology spread", "by the topology spread of its pods", "See `kubectl describe pod {pod}`."),
    (r"volume node affinity conflict", "because its volume is not available there", "Check placement.storage.cache."),
    (r"were unschedulable", "by a cordon", "`kubectl uncordon NODE` makes one available again."),
    (r"Too many pods", "by the limit of pods per Kubernetes node", PATIENCE),
)
_WHOLE: Final[tuple[tuple[str, str, str], ...]] = (
    (
        r"persistentvolumeclaim \"?([^\" ]+)\"? not found",
        "the PersistentVolumeClaim {0} does not exist",
        "Create it, or fix placement.storage.cache.existingClaim.",
    ),
    (
        r"unbound immediate PersistentVolumeClaims",
        "its volume is not bound yet",
        "See `kubectl get persistentvolumeclaims`. A claim that stays Pending lacks a storage class or free storage.",
    ),
)
_SCARCE: Final = re.compile(r"Insufficient ([\w./-]+\w)")
_COUNTED: Final = re.compile(r"(?:^|, )(\d+) (?=\D)")


def why_not_placed(pod: Object, observed: Observed) -> Reason:
    """Return why a pod is not scheduled; empty until the scheduler gives a reason."""
    decided = condition(pod, "PodScheduled") or {}
    if text(decided, "status") != "False":
        return NO_REASON
    return _WORDS.get(text(decided, "reason"), _other)(pod, text(decided, "message"), observed)


def _unschedulable(pod: Object, message: str, observed: Observed) -> Reason:
    for pattern, words, advice in _WHOLE:
        if found := re.search(pattern, message):
            return Reason(words.format(*found.groups()), advice)
    parts = _filters(message)
    said = [
        _scarce(pod, resource, observed)
        for resource in dict.fromkeys(found for _, part in parts for found in _SCARCE.findall(part))
    ]
    for count, part in parts:
        known = next((each for each in _FILTERS if re.search(each[0], part)), None)
        if known:
            many = "node" if count == 1 else "nodes"
            said.append(Reason(f"{count} Kubernetes {many} ruled out {known[1]}", known[2]))
    if not said:
        return _other(pod, message, observed)
    # Advice about what only the user can change comes first.
    advice = next((each.advice for each in said if each.advice != PATIENCE), PATIENCE)
    return Reason("; ".join(each.text for each in said), advice)


def _scarce(pod: Object, resource: str, observed: Observed) -> Reason:
    found = None
    if observed.machines is not None:
        found = rooms(observed.machines, observed.neighbours, resource=resource, pod=pod)
    return nearest(found, resource=resource, amount=wanted(pod, resource))


def _filters(message: str) -> list[tuple[int, str]]:
    """Return the counted parts of `0/5 nodes are available: 3 Insufficient cpu, 2 node(s) …. preemption: …`."""
    _, _, rest = message.partition("nodes are available: ")
    rest = re.split(r"\. (?:no new claims|preemption:)", rest)[0]
    marks = list(_COUNTED.finditer(rest))
    ends = [*(mark.start() for mark in marks[1:]), len(rest)]
    return [(int(mark[1]), rest[mark.end() : end]) for mark, end in zip(marks, ends, strict=False)]


def _gated(pod: Object, message: str, observed: Observed) -> Reason:
    return Reason("a scheduling gate, such as that of a queue, holds back its pod", "See `kubectl describe pod {pod}`.")


def _other(pod: Object, message: str, observed: Observed) -> Reason:
    words = one_line(message) or "no reason given"
    return Reason(f"the scheduler cannot place its pod: {words}", "See `kubectl describe pod {pod}`.")


# core/v1 PodReason… of the condition PodScheduled.
_WORDS: Final[dict[str, Callable[[Object, str, Observed], Reason]]] = {
    "Unschedulable": _unschedulable,
    "SchedulingGated": _gated,
    "SchedulerError": _other,
}
