"""Engine `job`: every word of its API has its place in the tables, and the words decide in the right order."""

from datetime import UTC, datetime

import pytest

from jobs.engines import job
from jobs.engines.status import Phase
from tests.unit.jobs.engines.bare import state, true
from tests.unit.jobs.states.read import recorded

# k8s.io/api v0.36, batch/v1
JOB_CONDITION_TYPE = "Suspended Complete Failed FailureTarget SuccessCriteriaMet"
JOB_REASON = (
    "PodFailurePolicy BackoffLimitExceeded DeadlineExceeded MaxFailedIndexesExceeded FailedIndexes "
    "SuccessPolicy CompletionsReached"
)
JOB_SUSPENDED_REASON = "JobSuspended JobResumed"  # k8s.io/kubernetes pkg/controller/job


def test_its_tables_have_every_word_of_its_api() -> None:
    assert set(job.CONDITIONS) == set(JOB_CONDITION_TYPE.split())
    assert set(job.REASONS) == set(f"{JOB_REASON} {JOB_SUSPENDED_REASON}".split())


@pytest.mark.parametrize(
    ("words", "phase"),
    [
        ((), None),
        (("Complete",), Phase.SUCCEEDED),
        (("SuccessCriteriaMet", "Complete"), Phase.SUCCEEDED),
        (("FailureTarget", "Failed"), Phase.FAILED),
        (("FailureTarget",), Phase.STOPPING),
        (("SuccessCriteriaMet",), Phase.STOPPING),
        (("Suspended",), Phase.STOPPED),
        (("Suspended", "Failed"), Phase.FAILED),
    ],
)
def test_the_condition_that_decides_gives_the_phase(words: tuple[str, ...], phase: Phase | None) -> None:
    assert state("job", true(*words)).phase is phase


@pytest.mark.parametrize(
    ("reason", "words", "advice"),
    [
        ("BackoffLimitExceeded", "More of its pods failed", "placement.retry"),
        ("DeadlineExceeded", "longer than placement.deadlines.run", "placement.retry"),
        ("PodFailurePolicy", "a retry cannot", "`ocrfleet logs {run}`"),
        ("MaxFailedIndexesExceeded", "More nodes failed", "`ocrfleet logs {run}`"),
        ("FailedIndexes", "A node failed for good", "`ocrfleet logs {run}`"),
        ("SuccessPolicy", "The leader has published the model", ""),
        ("CompletionsReached", "All nodes", ""),
    ],
)
def test_a_reason_is_told_with_what_to_do(reason: str, words: str, advice: str) -> None:
    told = state("job", true("Failed", reason=reason)).reason
    assert words in told.text
    assert advice in told.advice
    assert bool(told.advice) == bool(advice)


@pytest.mark.parametrize("reason", ["JobSuspended", "JobResumed"])
def test_that_it_was_suspended_or_resumed_is_no_reason(reason: str) -> None:
    assert not state("job", true("Suspended", reason=reason)).reason.text


def test_only_the_deadline_says_more_than_the_codes_of_the_pods() -> None:
    assert state("job", true("Failed", reason="DeadlineExceeded")).decisive
    assert not state("job", true("Failed", reason="BackoffLimitExceeded")).decisive


def test_a_failed_job_has_no_completion_time_and_is_over_since_its_condition() -> None:
    failed = true("Failed", at="2026-11-22T10:00:00Z") | {"startTime": "2026-11-22T09:00:00Z"}
    told = state("job", failed)
    assert told.started == datetime(2026, 11, 22, 9, tzinfo=UTC)
    assert told.finished == datetime(2026, 11, 22, 10, tzinfo=UTC)
    complete = true("Complete", at="2026-11-22T10:00:01Z") | {"completionTime": "2026-11-22T10:00:00Z"}
    assert state("job", complete).finished == datetime(2026, 11, 22, 10, tzinfo=UTC)


def test_of_several_jobs_the_one_that_failed_says_why() -> None:
    fine = {"kind": "Job", "status": true("Complete")}
    ends = {"kind": "Job", "status": true("FailureTarget", reason="DeadlineExceeded")}
    assert job.why_failed([fine, ends]).reason == job.DEADLINE
    assert job.why_failed([fine]).phase is None
    assert job.why_failed([ends | {"kind": "JobSet"}]).phase is None, "a JobSet is no Job"


def test_it_is_suspended_and_resumed_by_its_own_switch() -> None:
    workload = recorded("job-running")["workload"]
    pause, resume = job.pause(workload), job.resume(workload)
    assert (pause.verb, pause.version, pause.kind) == ("patch", "batch/v1", "Job")
    assert pause.name == workload["metadata"]["name"]
    assert (pause.body, resume.body) == ({"spec": {"suspend": True}}, {"spec": {"suspend": False}})
    assert job.suspended({"spec": {"suspend": True}})
    assert not job.suspended({"spec": {"suspend": False}})
    assert not job.suspended({"spec": {}})
