"""What an API server or a webhook refuses a pod for becomes a sentence with the next command."""

from datetime import UTC, datetime
from typing import Any

import pytest

from jobs.diagnosis.admission import EVENTS, in_words, when, why_no_pod
from jobs.engines.status import NO_REASON
from tests.unit.jobs.states.read import recorded, status


def refused(message: str) -> str:
    """Return the reason for a recorded run, as if its pods had been refused with another message."""
    objects = recorded("job-quota") | {"pods": []}
    for event in objects["events"]:
        event["message"] = message
    return str(status(objects).reason)


@pytest.mark.parametrize(
    ("message", "words"),
    [
        (
            'Error creating: pods "a-0-" is forbidden: exceeded quota: team, requested: requests.nvidia.com/gpu=4, '
            "used: requests.nvidia.com/gpu=8, limited: requests.nvidia.com/gpu=8",
            "Nodes 0 and 1 have no pod: the ResourceQuota team is used up: requests.nvidia.com/gpu=8 allowed",
        ),
        (
            'Error creating: pods "a-0-" is forbidden: failed quota: team: must specify limits.memory for: trainer',
            "the ResourceQuota team requires every pod to set limits.memory for: trainer. Set them in",
        ),
        (
            'Error creating: pods "a-0-" is forbidden: no PriorityClass with name high was found',
            "the PriorityClass high does not exist. Fix placement.priority",
        ),
        (
            'Error creating: pods "a-0-" is forbidden: maximum memory usage per Container is 1Gi, but limit is 2Gi',
            "a LimitRange of the namespace forbids the pod: maximum memory usage per Container is 1Gi, but limit is "
            "2Gi.",
        ),
        (
            'Error creating: admission webhook "policy.example.com" denied the request: no latest tags',
            "the admission webhook policy.example.com refused the pod: no latest tags.",
        ),
        (
            'Error creating: Internal error occurred: failed calling webhook "policy.example.com": timeout',
            "the admission webhook policy.example.com does not respond.",
        ),
        ("Error creating: {0} odd {run}", "its pod could not be created: {0} odd"),
    ],
)
def test_a_refused_pod_is_told_in_words(message: str, words: str) -> None:
    assert words in refused(message)


def event(reason: str, message: str, **when: Any) -> dict[str, Any]:
    return {"reason": reason, "message": message, **when}


@pytest.mark.parametrize("reason", EVENTS)
def test_every_controllers_word_for_it_counts_and_no_other(reason: str) -> None:
    assert "it broke" in why_no_pod([event(reason, "it broke")]).text
    assert why_no_pod([event(f"{reason}ed", "it broke")]) == NO_REASON


def test_the_newest_event_counts_whichever_field_has_its_time() -> None:
    older = event("FailedCreate", "older", lastTimestamp="2026-01-01T00:00:00Z")
    newer = event("FailedCreate", "newer", eventTime="2026-01-01T00:00:01Z")
    for order in ([older, newer], [newer, older]):
        assert "newer" in why_no_pod(order).text


@pytest.mark.parametrize(
    ("found", "second"),
    [
        ({"series": {"lastObservedTime": "2026-01-01T00:00:04Z"}, "lastTimestamp": "2026-01-01T00:00:03Z"}, 4),
        ({"lastTimestamp": "2026-01-01T00:00:03Z", "eventTime": "2026-01-01T00:00:02Z"}, 3),
        ({"eventTime": "2026-01-01T00:00:02Z", "metadata": {"creationTimestamp": "2026-01-01T00:00:01Z"}}, 2),
        ({"metadata": {"creationTimestamp": "2026-01-01T00:00:01Z"}}, 1),
    ],
)
def test_an_event_was_last_seen_when_its_latest_field_says(found: dict[str, Any], second: int) -> None:
    assert when(found) == datetime(2026, 1, 1, 0, 0, second, tzinfo=UTC)


def test_an_event_without_a_time_is_older_than_all() -> None:
    assert when({}) < when({"eventTime": "1970-01-01T00:00:00Z"})


@pytest.mark.parametrize(
    ("message", "words"),
    [
        ('violates PodSecurity "restricted:latest": host namespaces', "forbids the pod: host"),
        ('error looking up service account ml/trainer: serviceaccount "trainer" not found', "ServiceAccount trainer"),
        ("minimum cpu usage per Pod is 1, but request is 100m", "LimitRange"),
    ],
)
def test_a_refusal_is_known_by_its_message(message: str, words: str) -> None:
    told = in_words(message)
    assert told
    assert words in told.text


def test_a_refusal_of_another_kind_is_not_put_into_words() -> None:
    assert in_words("the moon is in the wrong house") is None
