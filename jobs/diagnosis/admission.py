"""Why a controller could not create a pod: the API server's refusal, explained."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

from jobs.engines.status import NO_REASON, Reason
from jobs.kube.fields import moment, one_line, text
from jobs.kube.objects import Object

EVENTS: Final = ("FailedCreate", "FailedCreatePod", "JobCreationFailed")
"""Reasons of such events: of Jobs and Volcano, of the training operator, of JobSet."""

# Pattern of the refusal, explanation, next step. Braces are the groups of the pattern.
_REFUSALS: Final[tuple[tuple[str, str, str], ...]] = (
    (
        r"exceeded quota: ([^,]+), requested: (.+?), used: (.+?), limited: (.+)",
        "the ResourceQuota {0} is used up: {3} allowed, {2} in use, {1} requested by the pod",
        "Wait until other pods end, or request less in placement. See `kubectl describe resourcequota {0}`.",
    ),
    (
        r"failed quota: ([^:]+): must specify (.+)",
        "the ResourceQuota {0} requires every pod to set {1}",
        "Set them in placement.resources.",
    ),
    (
        r"violates PodSecurity \"([^\"]+)\": (.+)",
        "the Pod Security level {0} of the namespace forbids the pod: {1}",
        "Remove this from `chart` in the job file, or use a namespace whose level allows it.",
    ),
    (
        r"error looking up service account \S+?/([^\s:]+):",
        "the ServiceAccount {0} does not exist",
        "Create it, or fix placement.serviceAccount.",
    ),
    (
        r"no PriorityClass with name (\S+) was found",
        "the PriorityClass {0} does not exist",
        "Fix placement.priority. `kubectl get priorityclasses` lists all.",
    ),
    (
        r"((?:minimum|maximum) \S+ usage per (?:Pod|Container) is .+)",
        "a LimitRange of the namespace forbids the pod: {0}",
        "Change placement.resources. `kubectl describe limitrange` shows the limits.",
    ),
    (
        r"admission webhook \"([^\"]+)\" denied the request: (.+)",
        "the admission webhook {0} refused the pod: {1}",
        "Ask the administrator of that webhook.",
    ),
    (
        r"failed calling webhook \"([^\"]+)\"",
        "the admission webhook {0} does not respond",
        "Ask the administrator of that webhook.",
    ),
)


def why_no_pod(events: Sequence[Object]) -> Reason:
    """Return the reason of the newest event about a pod that could not be created; empty without one."""
    told = [each for each in events if text(each, "reason") in EVENTS]
    if not told:
        return NO_REASON
    message = one_line(text(max(told, key=when), "message").removeprefix("Error creating: "))
    reason = in_words(message)
    return reason or Reason(f"its pod could not be created: {message}", "See `ocrfleet events {run}`.")


def in_words(message: str) -> Reason | None:
    """Explain why an API server refused a pod; None if the message is unknown."""
    for pattern, words, advice in _REFUSALS:
        if found := re.search(pattern, message):
            return Reason(words.format(*found.groups()), advice.format(*found.groups()))
    return None


def when(event: Object) -> datetime:
    """Return when an event was last seen; the earliest possible time if that is missing."""
    fields = (("series", "lastObservedTime"), ("lastTimestamp",), ("eventTime",), ("metadata", "creationTimestamp"))
    return next((at for path in fields if (at := moment(event, *path))), datetime.min.replace(tzinfo=UTC))
