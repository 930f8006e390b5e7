"""Engine `trainjob`: a TrainJob says little, and its JobSet and its Job say the rest."""

from datetime import UTC, datetime
from typing import Any

import pytest

from jobs.engines import job, jobset, trainjob
from jobs.engines.status import Phase
from tests.unit.jobs.engines.bare import state, true
from tests.unit.jobs.engines.test_jobset import JOBSET_REASON
from tests.unit.jobs.states.read import recorded

# github.com/kubeflow/trainer v2.3.0
TRAINJOB_CONDITION_TYPE = "Suspended Complete Failed"
TRAINJOB_REASON = "Suspended Resumed TrainingRuntimeNotSupported DeadlineExceeded"


def test_its_tables_have_every_word_of_its_api() -> None:
    assert set(trainjob.CONDITIONS) == set(TRAINJOB_CONDITION_TYPE.split())
    assert set(trainjob.REASONS) == set(f"{TRAINJOB_REASON} {JOBSET_REASON}".split())


@pytest.mark.parametrize(
    ("words", "phase"),
    [
        ((), None),
        (("Complete",), Phase.SUCCEEDED),
        (("Failed",), Phase.FAILED),
        (("Suspended",), Phase.STOPPED),
        (("Suspended", "Failed"), Phase.FAILED),
    ],
)
def test_the_condition_that_decides_gives_the_phase(words: tuple[str, ...], phase: Phase | None) -> None:
    assert state("trainjob", true(*words)).phase is phase


def made(status: dict[str, Any], name: str = "lines-1a2b3c4d-9f0e") -> dict[str, Any]:
    """Return a JobSet beside the TrainJob."""
    return {"kind": "JobSet", "metadata": {"name": name}, "status": status}


def test_while_it_says_nothing_its_jobset_does() -> None:
    told = state("trainjob", {}, inner=[made(true("RestartingJobSet", reason="DefaultFailurePolicy"))])
    assert (told.phase, told.reason) == (Phase.WAITING, jobset.REASONS["DefaultFailurePolicy"])
    stranger = made(true("RestartingJobSet"), name="other")
    assert state("trainjob", {}, inner=[stranger]).phase is None, "another TrainJob's JobSet"


def test_why_it_failed_is_the_word_of_the_innermost() -> None:
    message = "Container node for pod ml/a failed with exit code 43 matching FailJob rule at index 1"
    failed = true("Failed", reason="PodFailurePolicy")
    failed["conditions"][0]["message"] = message
    inner = [made(true("Failed", reason="FailedJobs")), {"kind": "Job", "status": failed}]
    told = state("trainjob", true("Failed", reason="FailedJobs"), inner=inner)
    assert (told.phase, told.exit_code, told.reason) == (Phase.FAILED, 43, job.REASONS["PodFailurePolicy"])
    inner[1]["status"] = true("Failed", reason="DeadlineExceeded")
    told = state("trainjob", true("Failed", reason="FailedJobs"), inner=inner)
    assert (told.reason, told.decisive) == (job.DEADLINE, True)


def test_its_own_deadline_says_more_than_the_end_of_its_jobset() -> None:
    told = state("trainjob", true("Failed", reason="DeadlineExceeded"), inner=[made(true("Failed"))])
    assert (told.reason, told.decisive) == (job.DEADLINE, True)


def test_a_runtime_that_is_not_supported_names_the_one_to_install() -> None:
    told = state("trainjob", true("Failed", reason="TrainingRuntimeNotSupported"))
    assert told.decisive
    assert "ClusterTrainingRuntime ocrfleet-paddle" in told.reason.advice


@pytest.mark.parametrize("reason", ["Suspended", "Resumed"])
def test_that_it_was_suspended_or_resumed_is_no_reason(reason: str) -> None:
    assert not state("trainjob", true("Suspended", reason=reason)).reason.text


@pytest.mark.parametrize("word", ["Complete", "Failed"])
def test_it_is_over_since_its_condition(word: str) -> None:
    told = state("trainjob", true(word, at="2026-11-22T10:00:00Z"))
    assert told.finished == datetime(2026, 11, 22, 10, tzinfo=UTC)


def test_it_has_started_with_the_job_of_its_jobset() -> None:
    inner = [made({}), {"kind": "Job", "status": {"startTime": "2026-11-22T09:00:00Z"}}]
    assert state("trainjob", true("Complete"), inner=inner).started == datetime(2026, 11, 22, 9, tzinfo=UTC)


def test_it_is_suspended_and_resumed_by_its_own_switch() -> None:
    workload = recorded("trainjob-running")["workload"]
    pause, resume = trainjob.pause(workload), trainjob.resume(workload)
    assert (pause.verb, pause.kind, pause.name) == ("patch", "TrainJob", workload["metadata"]["name"])
    assert (pause.body, resume.body) == ({"spec": {"suspend": True}}, {"spec": {"suspend": False}})
