"""Engine `jobset`: the JobSet says that it failed, and its Job says why."""

from datetime import UTC, datetime
from typing import Any

import pytest

from jobs.engines import job, jobset
from jobs.engines.status import Phase
from tests.unit.jobs.engines.bare import state, true
from tests.unit.jobs.states.read import recorded

# sigs.k8s.io/jobset v0.12.0, JobSetConditionType and pkg/constants
JOBSET_CONDITION_TYPE = "Completed Failed Suspended RestartingJobSet StartupPolicyInProgress StartupPolicyCompleted"
JOBSET_REASON = (
    "ReachedMaxRestarts FailedJobs AllJobsCompleted InOrderStartupPolicyInProgress InOrderStartupPolicyCompleted "
    "DefaultFailurePolicy FailurePolicy_RestartJobSet FailurePolicy_RestartJobSetAndIgnoreMaxRestarts JobsReady "
    "JobSetFailed JobSetCompleted JobSetSuspended SuspendedJobs ResumeJobs FailJobSetFailurePolicyAction"
)


def test_its_tables_have_every_word_of_its_api() -> None:
    assert set(jobset.CONDITIONS) == set(JOBSET_CONDITION_TYPE.split())
    assert set(jobset.TERMINAL_STATES) == {"Completed", "Failed"}
    assert set(jobset.REASONS) == set(JOBSET_REASON.split())


@pytest.mark.parametrize(
    ("words", "phase"),
    [
        ((), None),
        (("Completed",), Phase.SUCCEEDED),
        (("Failed",), Phase.FAILED),
        (("Suspended",), Phase.STOPPED),
        (("RestartingJobSet",), Phase.WAITING),
        (("StartupPolicyInProgress",), None),
        (("StartupPolicyCompleted",), None),
    ],
)
def test_the_condition_that_decides_gives_the_phase(words: tuple[str, ...], phase: Phase | None) -> None:
    assert state("jobset", true(*words)).phase is phase


@pytest.mark.parametrize(("word", "phase"), [("Completed", Phase.SUCCEEDED), ("Failed", Phase.FAILED)])
def test_a_terminal_state_is_enough(word: str, phase: Phase) -> None:
    assert state("jobset", {"terminalState": word}).phase is phase
    assert state("jobset", {"terminalState": word, **true("StartupPolicyInProgress")}).phase is phase
    assert state("jobset", {"terminalState": word, **true("Suspended")}).phase is phase


def test_a_terminal_state_that_is_new_is_unknown_and_named() -> None:
    told = state("jobset", {"terminalState": "Novel"})
    assert told.phase is Phase.UNKNOWN
    assert "'Novel'" in told.reason.text


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        ("AllJobsCompleted", "The leader has published the model"),
        ("JobSetCompleted", "The leader has published the model"),
        ("FailedJobs", "Its Job failed"),
        ("JobSetFailed", "Its Job failed"),
        ("ReachedMaxRestarts", "may not restart it"),
        ("FailJobSetFailurePolicyAction", "failure policy ended it"),
        ("DefaultFailurePolicy", "all pods"),
        ("FailurePolicy_RestartJobSet", "all pods"),
        ("FailurePolicy_RestartJobSetAndIgnoreMaxRestarts", "all pods"),
    ],
)
def test_a_reason_is_told_in_words(reason: str, words: str) -> None:
    assert words in state("jobset", true("RestartingJobSet", reason=reason)).reason.text


@pytest.mark.parametrize(
    "reason",
    [
        *("SuspendedJobs", "ResumeJobs", "InOrderStartupPolicyInProgress", "InOrderStartupPolicyCompleted"),
        *("JobsReady", "JobSetSuspended"),
    ],
)
def test_what_is_in_order_is_no_reason(reason: str) -> None:
    assert not state("jobset", true("RestartingJobSet", reason=reason)).reason.text


def inner(reason: str, message: str = "") -> dict[str, Any]:
    """Return a Job of the JobSet that has failed."""
    failed = true("Failed", reason=reason)
    failed["conditions"][0]["message"] = message
    return {"kind": "Job", "status": failed | {"startTime": "2026-11-22T09:00:00Z"}}


def test_why_it_failed_is_the_word_of_its_job() -> None:
    failed = true("Failed", reason="FailedJobs")
    told = state("jobset", failed, inner=[inner("DeadlineExceeded")])
    assert (told.phase, told.reason, told.decisive) == (Phase.FAILED, job.DEADLINE, True)
    said = "Container trainer for pod ml/a failed with exit code 42 matching FailJob rule at index 1"
    told = state("jobset", failed, inner=[inner("PodFailurePolicy", said)])
    assert (told.reason, told.exit_code) == (job.REASONS["PodFailurePolicy"], 42)


@pytest.mark.parametrize("others", [[], [{"kind": "Job", "status": true("Suspended", reason="JobSuspended")}]])
def test_while_no_job_says_why_the_jobsets_own_word_counts(others: list[dict[str, Any]]) -> None:
    assert state("jobset", true("Failed", reason="FailedJobs"), inner=others).reason == jobset.REASONS["FailedJobs"]


def test_what_its_job_says_counts_only_when_it_has_failed() -> None:
    told = state("jobset", true("Completed", reason="AllJobsCompleted"), inner=[inner("DeadlineExceeded")])
    assert (told.phase, told.reason) == (Phase.SUCCEEDED, jobset.REASONS["AllJobsCompleted"])


def test_it_has_started_with_its_first_job_and_is_over_since_its_condition() -> None:
    later = {"kind": "Job", "status": {"startTime": "2026-11-22T09:30:00Z"}}
    told = state("jobset", true("Failed", at="2026-11-22T10:00:00Z"), inner=[later, inner("PodFailurePolicy")])
    assert told.started == datetime(2026, 11, 22, 9, tzinfo=UTC)
    assert told.finished == datetime(2026, 11, 22, 10, tzinfo=UTC)


def test_its_size_is_that_of_all_its_jobs() -> None:
    jobs = [{"template": {"spec": {"completions": 2}}}, {"template": {"spec": {"completions": 3}}}, {"template": "?"}]
    assert jobset.size({"spec": {"replicatedJobs": jobs}}) == 5


def test_it_is_suspended_and_resumed_by_its_own_switch() -> None:
    workload = recorded("jobset-running")["workload"]
    pause, resume = jobset.pause(workload), jobset.resume(workload)
    assert (pause.verb, pause.kind, pause.name) == ("patch", "JobSet", workload["metadata"]["name"])
    assert (pause.body, resume.body) == ({"spec": {"suspend": True}}, {"spec": {"suspend": False}})
