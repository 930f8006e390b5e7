"""What Kueue says of a run becomes a sentence, whatever reason it waits for."""

from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Any

import pytest

from jobs.diagnosis import kueue
from jobs.engines.status import NO_REASON, Observed, Phase, Reason
from tests.unit.jobs.states.read import NOW, recorded, status


def test_a_run_under_a_queue_that_nobody_looks_after_says_so() -> None:
    told = status(recorded("kueue-waiting") | {"queued": None})
    assert told.phase is Phase.QUEUED
    assert told.reason.text == "Kueue has not picked it up, although placement.queue is team."


@pytest.mark.parametrize(
    ("message", "reason", "words"),
    [
        ("LocalQueue team is stopped", "Inadmissible", "The queue team is stopped. Ask the queue's administrator."),
        ("ClusterQueue gpus is inactive", "Inadmissible", "The ClusterQueue gpus is stopped or misconfigured."),
        ("ClusterQueue gpus doesn't exist", "Misconfigured", "The ClusterQueue gpus does not exist."),
        ("flavor a100 doesn't match node affinity", "NoMatchingFlavor", "No flavor of the queue team fits its nodes"),
        ("how odd", "Novel", "Its queue reports 'Novel': how odd."),
    ],
)
def test_a_queues_message_is_told_in_words(message: str, reason: str, words: str) -> None:
    objects = recorded("kueue-waiting")
    for each in objects["queued"]["status"]["conditions"]:
        if each["type"] == "QuotaReserved":
            each |= {"message": message, "reason": reason}
    assert words in str(status(objects).reason)


# sigs.k8s.io/kueue v0.19.2, v1beta2
WORKLOAD_CONDITION_TYPE = (
    "Admitted BlockedOnPreemptionGates QuotaReserved Finished PodsReady Evicted Preempted Requeued "
    "DeactivationTarget WaitingForReplacementPods"
)
QUOTA_RESERVED_REASON = (
    "NoMatchingFlavor WaitingForQuota ExceedsMaxQuota TopologyPlacementFailed WaitingForPreemptedWorkloads "
    "Misconfigured Suspended PendingEvaluation WaitingForPodsReady Inadmissible OnHold Pending Waiting AdmissionGated"
)
ADMITTED_REASON = "NoReservation UnsatisfiedAdmissionChecks PendingDelayedTopologyRequests"
EVICTED_REASON = (
    "Preempted FlavorMigration PodsReadyTimeout AdmissionCheck ClusterQueueStopped LocalQueueStopped NodeFailures "
    "EvictedOnManagerCluster WorkloadSliceReplaced Deactivated RequeuingLimitExceeded MaximumExecutionTimeExceeded"
)
PREEMPTED_REASON = "InClusterQueue InCohortReclamation InCohortFairSharing InCohortReclaimWhileBorrowing"


@pytest.mark.parametrize(
    ("table", "words"),
    [
        (kueue.CONDITIONS, WORKLOAD_CONDITION_TYPE),
        (kueue.WAITS, QUOTA_RESERVED_REASON),
        (kueue.CHECKS, ADMITTED_REASON),
        (kueue.EVICTIONS, EVICTED_REASON),
        (kueue.PREEMPTIONS, PREEMPTED_REASON),
    ],
)
def test_a_table_has_every_word_of_its_api(table: Iterable[str], words: str) -> None:
    assert set(table) == set(words.split())


def said(kind: str, status: str, reason: str, message: str = "") -> dict[str, Any]:
    """Return a condition of a Workload."""
    return {"type": kind, "status": status, "reason": reason, "message": message}


def waiting(*conditions: dict[str, Any], rivals: Sequence[dict[str, Any]] = ()) -> Reason:
    """Return why a run waits whose Workload has these conditions."""
    workload = {"metadata": {"name": "a", "labels": {"kueue.x-k8s.io/queue-name": "team"}}}
    queued = {"kind": "Workload", "metadata": {"name": "job-a"}, "status": {"conditions": list(conditions)}}
    return kueue.why_waiting(Observed(workload=workload, now=NOW, queued=queued, rivals=rivals))


def test_the_queue_of_a_run_is_the_one_that_its_label_names() -> None:
    assert kueue.name_in({"metadata": {"labels": {"kueue.x-k8s.io/queue-name": "team"}}}) == "team"
    assert kueue.name_in({"metadata": {}}) == ""


def test_a_run_that_its_queue_has_not_looked_at_says_so() -> None:
    assert waiting().text == "The queue team has not evaluated it yet."


@pytest.mark.parametrize("reason", QUOTA_RESERVED_REASON.split())
def test_why_a_run_has_no_quota_is_told_for_every_reason(reason: str) -> None:
    told = waiting(said("QuotaReserved", "False", reason, "so says Kueue"))
    known = kueue.WAITS[reason]
    sentence = known.text.replace("{queue}", "team").replace("{message}", "so says Kueue")
    assert told.text == f"{sentence[0].upper()}{sentence[1:]}."
    assert told.advice == known.advice


@pytest.mark.parametrize("reason", ADMITTED_REASON.split())
def test_with_its_quota_reserved_a_run_waits_for_what_admitted_says(reason: str) -> None:
    told = waiting(said("QuotaReserved", "True", "QuotaReserved"), said("Admitted", "False", reason))
    assert kueue.CHECKS[reason].text.replace("{queue}", "team")[1:] in told.text
    assert told.advice == kueue.CHECKS[reason].advice


def test_with_its_quota_reserved_and_no_word_more_there_is_no_reason() -> None:
    assert waiting(said("QuotaReserved", "True", "QuotaReserved")) == NO_REASON


def test_a_condition_that_is_new_is_named() -> None:
    assert "'Novel'" in waiting(said("Novel", "True", "Any"), said("QuotaReserved", "False", "Pending")).text


@pytest.mark.parametrize("reason", EVICTED_REASON.split())
def test_a_run_that_lost_its_quota_says_how_and_what_it_waits_for_now(reason: str) -> None:
    told = waiting(said("Evicted", "True", reason), said("QuotaReserved", "False", "PendingEvaluation")).text
    before, _, now = told.partition("; now ")
    assert before.lower() == kueue.EVICTIONS[reason].text.replace("{queue}", "team").lower()
    assert now == "the queue team has not evaluated it yet."
    back = waiting(said("Evicted", "False", reason), said("QuotaReserved", "False", "PendingEvaluation")).text
    assert back == "The queue team has not evaluated it yet.", "an eviction that is over is not told"


def test_an_eviction_that_is_new_is_named() -> None:
    assert "'Novel'" in waiting(said("Evicted", "True", "Novel"), said("QuotaReserved", "False", "Pending")).text


@pytest.mark.parametrize("reason", PREEMPTED_REASON.split())
def test_a_preempted_run_says_for_whom(reason: str) -> None:
    evicted, preempted = said("Evicted", "True", "Preempted"), said("Preempted", "True", reason)
    assert kueue.PREEMPTIONS[reason] in waiting(evicted, preempted).text
    for another in EVICTED_REASON.split():
        if another != "Preempted":
            told = waiting(said("Evicted", "True", another), preempted).text
            assert kueue.PREEMPTIONS[reason] not in told, another


def rival(run: str, amount: str, *, flavor: str = "a100", owner: str = "") -> dict[str, Any]:
    """Return a Workload that holds some of a flavor's GPUs."""
    share = {"flavors": {"nvidia.com/gpu": flavor}, "resourceUsage": {"nvidia.com/gpu": amount}}
    labels = {"ocrfleet.io/run": run} if run else {}
    return {
        "metadata": {"name": "job-x", "ownerReferences": [{"name": owner}] if owner else []},
        "spec": {"podSets": [{"template": {"metadata": {"labels": labels}}}]},
        "status": {"admission": {"podSetAssignments": [share, share]}},
    }


def test_what_a_queue_lacks_is_told_with_those_who_hold_it() -> None:
    lacks = "insufficient unused quota for nvidia.com/gpu in flavor a100, 3 more needed"
    rivals = [
        rival("det-11111111", "2"),
        rival("", "1", owner="notebook"),
        rival("rec-22222222", "8", flavor="h100"),
        rival("idle-33333333", "0"),
    ]
    told = waiting(said("QuotaReserved", "False", "Pending", lacks), rivals=rivals).text
    assert told.startswith("The queue team lacks 3 GPUs (flavor a100): ")
    assert "run det-11111111 holds 4" in told
    assert "run notebook holds 2" in told
    assert "rec-22222222" not in told, "it holds another flavor"
    assert "idle-33333333" not in told, "it holds none"
    alone = waiting(said("QuotaReserved", "False", "Pending", lacks)).text
    assert alone == "The queue team lacks 3 GPUs (flavor a100)."


def test_what_a_queue_can_never_give_is_told_with_all_that_the_run_asks_for() -> None:
    never = (
        "insufficient quota for nvidia.com/gpu in flavor a100, previously considered podsets requests (2) + "
        "current podset request (8) > maximum capacity (4)"
    )
    told = waiting(said("QuotaReserved", "False", "Pending", never))
    assert told.text.startswith("It requests 10 GPUs, but the queue team has at most 4 (flavor a100)")
    assert "in placement" in told.advice


@pytest.mark.parametrize(
    ("evicted", "words"),
    [
        (None, "It is stopped."),
        (said("Evicted", "True", "RequeuingLimitExceeded"), "Its pods were not ready in time too often"),
        (said("Evicted", "True", "MaximumExecutionTimeExceeded"), "It ran longer than kueue.x-k8s.io/max-exec-time"),
        (said("Evicted", "False", "RequeuingLimitExceeded"), "It is stopped."),
        (said("Evicted", "True", "Novel"), "It is stopped."),
    ],
)
def test_why_a_run_rests_is_its_last_eviction_else_that_it_was_stopped(
    evicted: dict[str, Any] | None, words: str
) -> None:
    queued = {"spec": {"active": False}, "status": {"conditions": [evicted] if evicted else []}}
    told = kueue.why_stopped(Observed(workload={}, now=NOW, queued=queued))
    assert told.text.startswith(words)
    assert "`ocrfleet resume {run}`" in told.advice


@pytest.mark.parametrize(
    ("requeued", "admitted", "waited"),
    [
        (None, None, 3600),
        (None, "False", 3600),
        (None, "True", 600),
        ("True", None, 1800),
        ("False", None, 3600),
    ],
)
def test_a_run_has_waited_since_it_came_into_the_queue_until_it_was_let_in(
    requeued: str | None, admitted: str | None, waited: int
) -> None:
    made, back, let_in = (NOW - timedelta(seconds=seconds) for seconds in (3600, 1800, 3000))
    conditions = [
        {"type": kind, "status": status, "lastTransitionTime": at.isoformat()}
        for kind, status, at in (("Requeued", requeued, back), ("Admitted", admitted, let_in))
        if status
    ]
    workload = {"metadata": {"creationTimestamp": made.isoformat()}}
    queued = {"status": {"conditions": conditions}}
    told = kueue.status("team", Observed(workload=workload, now=NOW, queued=queued))
    assert told.waited == timedelta(seconds=waited)
    assert (told.admitted == let_in) == (admitted == "True")
    assert (told.name, told.active, told.evictions) == ("team", True, 0)


def test_the_queue_that_the_workload_is_in_goes_before_the_one_of_the_label() -> None:
    workload = {"metadata": {"labels": {"kueue.x-k8s.io/queue-name": "team"}}}
    moved = Observed(workload=workload, now=NOW, queued={"spec": {"queueName": "other"}})
    assert kueue.status("team", moved).name == "other"
    assert "queue other" in kueue.why_waiting(moved).text


def test_every_eviction_counts() -> None:
    evictions = [{"reason": "Preempted", "count": 2}, {"reason": "PodsReadyTimeout", "count": 1}, {"reason": "?"}]
    queued = {"status": {"schedulingStats": {"evictions": evictions}}}
    assert kueue.status("team", Observed(workload={}, now=NOW, queued=queued)).evictions == 3


def test_the_workload_is_told_and_the_job_is_left_to_kueue() -> None:
    queued = recorded("kueue-running")["queued"]
    pause = kueue.pause(queued)
    assert (pause.verb, pause.kind, pause.name) == ("patch", "Workload", queued["metadata"]["name"])
    assert (pause.body, kueue.resume(queued).body) == ({"spec": {"active": False}}, {"spec": {"active": True}})
    assert kueue.active(queued)
    assert kueue.active({"spec": {}}), "active is true where nothing is said"
    assert not kueue.active({"spec": {"active": False}})
