"""Status of a run in Kueue: its queue, why it waits, and who holds the quota."""

import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final

from jobs.diagnosis.capacity import PATIENCE, THINGS, held_by, in_unit
from jobs.engines.state import unknown_word
from jobs.engines.status import NO_REASON, Observed, QueueStatus, Reason
from jobs.kube.changes import Change, patch
from jobs.kube.fields import (
    RUN_LABEL,
    at,
    condition,
    holds,
    label,
    moment,
    name_of,
    number,
    one_line,
    quantity,
    several,
    text,
    true_conditions,
)
from jobs.kube.objects import Object

KIND: Final = "Workload"
QUEUE_LABEL: Final = "kueue.x-k8s.io/queue-name"

CONDITIONS: Final = (
    "Admitted", "BlockedOnPreemptionGates", "QuotaReserved", "Finished", "PodsReady", "Evicted", "Preempted",
    "Requeued", "DeactivationTarget", "WaitingForReplacementPods",
)  # fmt: skip
"""kueue.x-k8s.io/v1beta2 types of a Workload's conditions."""

_QUEUES: Final = "Fix placement.queue. `kubectl get localqueues` lists the queues of the namespace."
_ADMIN: Final = "Ask the queue's administrator."

# Reasons of QuotaReserved while that is false, where the message has no pattern below. `{queue}` is the LocalQueue.
WAITS: Final[Mapping[str, Reason]] = {
    "NoMatchingFlavor": Reason("no flavor of the queue {queue} fits its nodes: {message}", _ADMIN),
    "WaitingForQuota": Reason("the queue {queue} does not have enough free quota: {message}", PATIENCE),
    "ExceedsMaxQuota": Reason("it requests more than the queue {queue} has: {message}", "Request less in placement."),
    "TopologyPlacementFailed": Reason(
        "the queue {queue} cannot place its pods close enough together: {message}", PATIENCE
    ),
    "WaitingForPreemptedWorkloads": Reason(
        "runs of lower priority are being stopped to make room for it in the queue {queue}"
    ),
    "Misconfigured": Reason("the queue {queue} is misconfigured: {message}", _QUEUES),
    "Suspended": Reason("the queue {queue} is stopped: {message}", _ADMIN),
    "PendingEvaluation": Reason("the queue {queue} has not evaluated it yet"),
    "WaitingForPodsReady": Reason("the queue {queue} waits until the pods of earlier runs are ready", PATIENCE),
    "Inadmissible": Reason("the queue {queue} cannot admit it: {message}", _QUEUES),
    "OnHold": Reason("the queue {queue} keeps it on hold: {message}", _ADMIN),
    "Pending": Reason("it waits in the queue {queue}: {message}", PATIENCE),
    "Waiting": Reason("the queue {queue} waits until the pods of earlier runs are ready", PATIENCE),
    "AdmissionGated": Reason("its annotation kueue.x-k8s.io/admission-gated-by holds it back", _ADMIN),
}
# Reasons of Admitted while that is false though the quota is reserved.
CHECKS: Final[Mapping[str, Reason]] = {
    "NoReservation": NO_REASON,
    "UnsatisfiedAdmissionChecks": Reason(
        "the queue {queue} has quota for it, but an admission check is not finished", _ADMIN
    ),
    "PendingDelayedTopologyRequests": Reason(
        "the queue {queue} has quota for it, but its topology is not assigned yet"
    ),
}
# Reasons of Evicted while that is true; those of Preempted say in which way.
EVICTIONS: Final[Mapping[str, Reason]] = {
    "Preempted": Reason("it was preempted"),
    "FlavorMigration": Reason("it moves to a better flavor"),
    "PodsReadyTimeout": Reason("its pods were not ready in time, so it gave its quota back"),
    "AdmissionCheck": Reason("an admission check of the queue {queue} no longer passes"),
    "ClusterQueueStopped": Reason("its ClusterQueue was stopped", _ADMIN),
    "LocalQueueStopped": Reason("the queue {queue} was stopped", _ADMIN),
    "NodeFailures": Reason("its Kubernetes nodes failed"),
    "EvictedOnManagerCluster": Reason("the managing cluster took it back", _ADMIN),
    "WorkloadSliceReplaced": Reason("a workload slice of another size replaces it"),
    "Deactivated": Reason("it is stopped"),
    "RequeuingLimitExceeded": Reason("its pods were not ready in time too often, and Kueue gave up"),
    "MaximumExecutionTimeExceeded": Reason("it ran longer than kueue.x-k8s.io/max-exec-time-seconds allows"),
}
PREEMPTIONS: Final[Mapping[str, str]] = {
    "InClusterQueue": "by a run of higher priority in its ClusterQueue",
    "InCohortReclamation": "by another queue that took back its quota",
    "InCohortFairSharing": "for fair sharing among the queues of its cohort",
    "InCohortReclaimWhileBorrowing": "by another queue that took back its quota, while borrowing itself",
}

_UNUSED: Final = re.compile(r"insufficient unused quota for (\S+) in flavor (\S+), (\S+) more needed")
_NEVER: Final = re.compile(
    r"insufficient quota for (\S+) in flavor (\S+), previously considered podsets requests \((\S+)\) \+ "
    r"current podset request \((\S+)\) > maximum capacity \((\S+)\)"
)
_MESSAGES: Final[tuple[tuple[str, str, str], ...]] = (
    (r"LocalQueue (\S+) (?:doesn't exist|is terminating or missing)", "the queue {0} does not exist", _QUEUES),
    (r"LocalQueue (\S+) is stopped", "the queue {0} is stopped", _ADMIN),
    (r"ClusterQueue (\S+) (?:doesn't exist|is terminating or missing)", "the ClusterQueue {0} does not exist", _ADMIN),
    (r"ClusterQueue (\S+) is (?:stopped|inactive)", "the ClusterQueue {0} is stopped or misconfigured", _ADMIN),
)


def name_in(workload: Object) -> str:
    """Return the queue of an engine's object; empty if it has none."""
    return label(workload, QUEUE_LABEL)


def pause(queued: Object) -> Change:
    """Return the change that stops a run: Kueue owns `spec.suspend` of its object."""
    return patch(queued, {"spec": {"active": False}})


def resume(queued: Object) -> Change:
    """Return the change that puts a run back into its queue."""
    return patch(queued, {"spec": {"active": True}})


def active(queued: Object) -> bool:
    """Check whether a run may get quota."""
    return at(queued, "spec", "active") is not False


def status(name: str, observed: Observed) -> QueueStatus:
    """Return the queue status of a run, without the reason."""
    queued = observed.queued or {}
    admitted = moment(condition(queued, "Admitted") or {}, "lastTransitionTime") if holds(queued, "Admitted") else None
    return QueueStatus(
        name=text(queued, "spec", "queueName") or name,
        cluster_queue=text(queued, "status", "admission", "clusterQueue") or None,
        active=active(queued),
        admitted=admitted,
        waited=_span(_since(queued, observed), admitted or observed.now) if active(queued) else None,
        evictions=sum(number(each, "count") or 0 for each in several(queued, "status", "schedulingStats", "evictions")),
    )


def _since(queued: Object, observed: Observed) -> datetime | None:
    """Return when the run last entered the queue."""
    back = condition(queued, "Requeued") or {}
    again = moment(back, "lastTransitionTime") if text(back, "status") == "True" else None
    return again or moment(observed.workload, "metadata", "creationTimestamp")


def _span(since: datetime | None, until: datetime) -> timedelta | None:
    return max(until - since, timedelta()) if since else None


def why_waiting(observed: Observed) -> Reason:
    """Return why a run has no quota."""
    queue = name_in(observed.workload)
    queued = observed.queued
    if queued is None:
        return Reason(
            f"Kueue has not picked it up, although placement.queue is {queue}.",
            "Check that Kueue is installed and manages this namespace: `kubectl get workloads`.",
        )
    if strange := [kind for kind in true_conditions(queued) if kind not in CONDITIONS]:
        return unknown_word(queued, strange[0])
    return _sentence(_told(queued, observed), _evicted(queued), text(queued, "spec", "queueName") or queue)


def why_stopped(observed: Observed) -> Reason:
    """Return why a run is stopped."""
    queued = observed.queued or {}
    decided = condition(queued, "Evicted") or {}
    known = EVICTIONS.get(text(decided, "reason"), EVICTIONS["Deactivated"])
    words = known.text if text(decided, "status") == "True" else EVICTIONS["Deactivated"].text
    return Reason(f"{words[0].upper()}{words[1:]}.", "`ocrfleet resume {run}` puts it back into the queue.")


def _told(queued: Object, observed: Observed) -> Reason:
    reserved = condition(queued, "QuotaReserved")
    if reserved is None:
        return WAITS["PendingEvaluation"]
    if text(reserved, "status") == "True":
        word = text(condition(queued, "Admitted") or {}, "reason")
        return CHECKS.get(word, NO_REASON)
    message = text(reserved, "message")
    if found := _UNUSED.search(message):
        return _unused(found, observed)
    if found := _NEVER.search(message):
        return _never(found)
    for pattern, words, advice in _MESSAGES:
        if found := re.search(pattern, message):
            return Reason(words.format(*found.groups()), advice)
    word = text(reserved, "reason")
    known = WAITS.get(word) or Reason(f"its queue reports '{one_line(word)}': {{message}}", _ADMIN)
    return Reason(known.text.replace("{message}", one_line(message) or "no message"), known.advice)


def _unused(found: re.Match[str], observed: Observed) -> Reason:
    resource, flavor, more = found.groups()
    held = held_by(_holders(observed.rivals, resource, flavor), resource)
    lacks = f"{in_unit(quantity(more), resource)} {THINGS.get(resource, resource)}"
    words = f"the queue {{queue}} lacks {lacks} (flavor {flavor})"
    return Reason(words + (f": {held}" if held else ""), PATIENCE)


def _never(found: re.Match[str]) -> Reason:
    resource, flavor, before, request, most = found.groups()
    asked = in_unit(quantity(before) + quantity(request), resource)
    return Reason(
        f"it requests {asked} {THINGS.get(resource, resource)}, but the queue {{queue}} has at most "
        f"{in_unit(quantity(most), resource)} (flavor {flavor}), so it can never start",
        "Request fewer nodes or devices in placement, or have the quota increased.",
    )


def _holders(rivals: Sequence[Object], resource: str, flavor: str) -> dict[str, float]:
    """Return how much of a flavor's resource each other run holds."""
    held: dict[str, float] = {}
    for rival in rivals:
        for share in several(rival, "status", "admission", "podSetAssignments"):
            if at(share, "flavors", resource) == flavor:
                run = _run(rival)
                held[run] = held.get(run, 0.0) + quantity(at(share, "resourceUsage", resource))
    return {name: amount for name, amount in held.items() if amount}


def _run(rival: Object) -> str:
    """Return the run of a Workload, or the name of its owner if it is not ours."""
    templates = (each.get("template") for each in several(rival, "spec", "podSets"))
    ours = (label(each, RUN_LABEL) for each in templates if isinstance(each, Mapping))
    owners = (text(each, "name") for each in several(rival, "metadata", "ownerReferences"))
    return next((name for name in (*ours, *owners) if name), name_of(rival))


def _evicted(queued: Object) -> str:
    """Explain why a run lost its quota before; empty if it did not."""
    decided = condition(queued, "Evicted") or {}
    if text(decided, "status") != "True":
        return ""
    word = text(decided, "reason")
    known = EVICTIONS.get(word, Reason(f"Kueue evicted it ('{one_line(word)}')")).text
    way = PREEMPTIONS.get(text(condition(queued, "Preempted") or {}, "reason"), "")
    return f"{known} {way}".strip() if word == "Preempted" else known


def _sentence(told: Reason, before: str, queue: str) -> Reason:
    words = "; now ".join(part for part in (before, told.text) if part).replace("{queue}", queue)
    return Reason(f"{words[0].upper()}{words[1:]}." if words else "", told.advice)
