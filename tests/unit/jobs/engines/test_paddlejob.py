"""Engine `paddlejob`: conditions that stay true, and one message that says more than its reason."""

from datetime import UTC, datetime

import pytest

from jobs.engines import job, paddlejob
from jobs.engines.status import Phase
from tests.unit.jobs.engines.bare import state, true
from tests.unit.jobs.states.read import recorded

# github.com/kubeflow/training-operator v1.9.4
PADDLEJOB_CONDITION_TYPE = "Created Running Restarting Succeeded Suspended Failed"
PADDLEJOB_REASON = (  # PaddleJobFailed has no words of its own: the operator's message is told
    "PaddleJobCreated PaddleJobRunning PaddleJobRestarting PaddleJobSucceeded PaddleJobSuspended PaddleJobResumed"
)


def test_its_tables_have_every_word_of_its_api() -> None:
    assert set(paddlejob.CONDITIONS) == set(PADDLEJOB_CONDITION_TYPE.split())
    assert set(paddlejob.REASONS) == set(PADDLEJOB_REASON.split())


@pytest.mark.parametrize(
    ("words", "phase"),
    [
        (("Created",), None),
        (("Created", "Running"), None),
        (("Created", "Restarting"), Phase.WAITING),
        (("Created", "Succeeded"), Phase.SUCCEEDED),
        (("Created", "Running", "Failed"), Phase.FAILED),
        (("Created", "Suspended"), Phase.STOPPED),
    ],
)
def test_the_condition_that_decides_gives_the_phase(words: tuple[str, ...], phase: Phase | None) -> None:
    assert state("paddlejob", true(*words)).phase is phase


@pytest.mark.parametrize(
    ("kind", "reason", "words"),
    [
        ("Restarting", "PaddleJobRestarting", "a new pod"),
        ("Succeeded", "PaddleJobSucceeded", "The leader has published the model"),
        ("Suspended", "PaddleJobSuspended", ""),
        ("Suspended", "PaddleJobResumed", ""),
        ("Restarting", "PaddleJobCreated", ""),
        ("Restarting", "PaddleJobRunning", ""),
    ],
)
def test_a_reason_is_told_in_words(kind: str, reason: str, words: str) -> None:
    told = state("paddlejob", true(kind, reason=reason)).reason.text
    assert words in told
    assert bool(told) == bool(words)


def test_a_failure_is_told_as_the_operator_tells_it() -> None:
    failed = true("Failed", reason="PaddleJobFailed")
    failed["conditions"][0]["message"] = "PaddleJob a is failed because 1 Worker replica(s) failed."
    told = state("paddlejob", failed)
    assert "PaddleJob a is failed because 1 Worker replica(s) failed." in told.reason.text
    assert not told.decisive


def test_a_deadline_is_in_the_message_alone() -> None:
    failed = true("Failed", reason="PaddleJobFailed")
    failed["conditions"][0]["message"] = "Job a has failed because it was active longer than specified deadline"
    told = state("paddlejob", failed)
    assert (told.phase, told.reason, told.decisive) == (Phase.FAILED, job.DEADLINE, True)


@pytest.mark.parametrize("word", ["Succeeded", "Failed"])
def test_it_is_over_since_its_condition(word: str) -> None:
    told = state("paddlejob", true(word, at="2026-11-22T10:00:00Z") | {"startTime": "2026-11-22T09:00:00Z"})
    assert told.started == datetime(2026, 11, 22, 9, tzinfo=UTC)
    assert told.finished == datetime(2026, 11, 22, 10, tzinfo=UTC)


def test_it_has_its_switch_in_the_run_policy() -> None:
    workload = recorded("paddlejob-running")["workload"]
    assert paddlejob.pause(workload).body == {"spec": {"runPolicy": {"suspend": True}}}
    assert paddlejob.resume(workload).body == {"spec": {"runPolicy": {"suspend": False}}}
    assert paddlejob.suspended({"spec": {"runPolicy": {"suspend": True}}})
    assert not paddlejob.suspended({"spec": {"runPolicy": {}}})
