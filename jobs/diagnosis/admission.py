"""Why a controller could not make a pod: the API server's refusal in words."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

from jobs.engines.status import NO_REASON, Reason
from jobs.kube.fields import moment, one_line, text
from jobs.kube.objects import Object

EVENTS: Final = ("FailedCreate", "FailedCreatePod", "JobCreationFailed")
"""Reasons of events that say so: of Jobs and Volcano's, of the training operator, of JobSet."""

# What stands in the refusal, what is so, and what to do. Braces take the pattern's groups.
_REFUSALS: Final[tuple[tuple[str, str, str], ...]] = (
    (
        r"exceeded quota: ([^,]+), requested: (.+?), used: (.+?), limited: (.+)",
        "the ResourceQuota {0} is used up: {3} is allowed, {2} is used, and the pod asks for {1}",
        "Wait until others end, or ask for less in placement; `kubectl describe resourcequota {0}` shows it.",
    ),
    (
        r"failed quota: ([^:]+): must specify (.+)",
        "the ResourceQuota {0} wants every pod to say {1}",
        "Set those in placement.resources.",
    ),
    (
        r"violates PodSecurity \"([^\"]+)\": (.+)",
        "the namespace's Pod Security level {0} forbids it: {1}",
        "Take that out of the job file's chart values, or use a namespace whose level allows it.",
    ),
    (
        r"error looking up service account \S+?/([^\s:]+):",
        "the ServiceAccount {0} does not exist",
        "Make it, or mend placement.serviceAccount.",
    ),
    (
        r"no PriorityClass with name (\S+) was found",
        "the PriorityClass {0} does not exist",
        "Mend placement.priority; `kubectl get priorityclasses` lists them.",
    ),
    (
        r"((?:minimum|maximum) \S+ usage per (?:Pod|Container) is .+)",
        "a LimitRange of the namespace forbids it: {0}",
        "Change placement.resources; `kubectl describe limitrange` shows what is allowed.",
    ),
    (
        r"admission webhook \"([^\"]+)\" denied the request: (.+)",
        "the admission webhook {0} refuses it: {1}",
        "Ask the administrator of that webhook.",
    ),
    (
        r"failed calling webhook \"([^\"]+)\"",
        "the admission webhook {0} does not answer",
        "Ask the administrator of that webhook.",
    ),
)


def why_no_pod(events: Sequence[Object]) -> Reason:
    """Give the reason of the newest event that says that a pod could not be made; none without one."""
    told = [each for each in events if text(each, "reason") in EVENTS]
    if not told:
        return NO_REASON
    message = one_line(text(max(told, key=when), "message").removeprefix("Error creating: "))
    reason = in_words(message)
    return reason or Reason(f"its pod could not be made: {message}", "See `ocrfleet events {run}`.")


def in_words(message: str) -> Reason | None:
    """Give the reason for which an API server refused a pod; None if its message is none of the known ones."""
    for pattern, words, advice in _REFUSALS:
        if found := re.search(pattern, message):
            return Reason(words.format(*found.groups()), advice.format(*found.groups()))
    return None


def when(event: Object) -> datetime:
    """Give when an event was last seen; the beginning of time where it does not say."""
    fields = (("series", "lastObservedTime"), ("lastTimestamp",), ("eventTime",), ("metadata", "creationTimestamp"))
    return next((at for path in fields if (at := moment(event, *path))), datetime.min.replace(tzinfo=UTC))
