"""Engine `volcano`: its one word for a Job, what its PodGroup adds, and the commands that it takes.

No Volcano was recorded: the objects are written by hand, by its API.
"""

from datetime import UTC, datetime
from typing import Any

import pytest

from jobs.engines import volcano
from jobs.engines.status import Phase
from tests.unit.jobs.engines.bare import state

# volcano.sh/apis v1.10 to v1.15
VOLCANO_JOB_PHASE = "Pending Aborting Aborted Running Restarting Completing Completed Terminating Terminated Failed"
VOLCANO_POD_GROUP_PHASE = "Pending Running Unknown Inqueue Completed"
NAME = "lines-1a2b3c4d-9f0e"


def test_its_tables_have_every_word_of_its_api() -> None:
    assert set(volcano.PHASES) - {""} == set(VOLCANO_JOB_PHASE.split())
    assert set(volcano.GROUP_PHASES) == set(VOLCANO_POD_GROUP_PHASE.split())


def at(word: str, message: str = "") -> dict[str, Any]:
    return {"state": {"phase": word, "message": message, "lastTransitionTime": "2026-11-22T10:00:00Z"}}


@pytest.mark.parametrize(
    ("word", "phase", "words"),
    [
        ("", None, ""),
        ("Pending", Phase.QUEUED, ""),
        ("Aborting", Phase.STOPPING, ""),
        ("Aborted", Phase.STOPPED, ""),
        ("Running", None, ""),
        ("Restarting", Phase.WAITING, "all its pods"),
        ("Completing", Phase.STOPPING, "other nodes are ending"),
        ("Completed", Phase.SUCCEEDED, "The leader has published the model"),
        ("Terminating", Phase.STOPPING, "Volcano is terminating it"),
        ("Terminated", Phase.FAILED, "Volcano terminated it"),
        ("Failed", Phase.FAILED, "More of its pods failed"),
    ],
)
def test_volcanos_phase_gives_ours_and_a_reason(word: str, phase: Phase | None, words: str) -> None:
    told = state("volcano", at(word))
    assert told.phase is phase
    assert words in told.reason.text
    assert bool(told.reason.text) == bool(words)


@pytest.mark.parametrize("word", ["Terminating", "Terminated", "Failed"])
def test_what_went_wrong_is_told_with_volcanos_message(word: str) -> None:
    told = state("volcano", at(word, "max retry")).reason
    assert told.text.endswith(" Message: max retry.")
    assert "`ocrfleet logs {run}`" in told.advice
    assert "all done" not in state("volcano", at("Completed", "all done")).reason.text


def test_only_what_is_over_has_an_end() -> None:
    assert state("volcano", at("Failed")).finished == datetime(2026, 11, 22, 10, tzinfo=UTC)
    for word in ("Running", "Aborted", "Completing"):
        assert state("volcano", at(word)).finished is None


def group(phase: str = "", **status: Any) -> dict[str, Any]:
    return {"kind": "PodGroup", "metadata": {"name": f"{NAME}-1"}, "status": {"phase": phase, **status}}


@pytest.mark.parametrize(
    ("phase", "words"),
    [
        ("Pending", "have room for all of its nodes"),
        ("Inqueue", "has admitted it"),
        ("Unknown", "the others cannot"),
        ("Running", ""),
        ("Completed", ""),
        ("", ""),
        ("Novel", "'Novel'"),
    ],
)
def test_why_it_waits_is_the_word_of_its_pod_group(phase: str, words: str) -> None:
    told = state("volcano", at("Pending"), inner=[{"kind": "Job"}, group(phase)]).reason
    assert words in told.text
    assert bool(told.text) == bool(words)
    assert told.advice == (f"See `kubectl describe podgroup {NAME}-1`." if words else "")


def test_what_its_scheduler_says_goes_before_the_phase_while_it_holds() -> None:
    unschedulable = {"type": "Unschedulable", "status": "True", "message": "2/2 tasks in gang unschedulable"}
    told = state("volcano", at("Pending"), inner=[group("Inqueue", conditions=[unschedulable])]).reason
    assert "all of its nodes: 2/2 tasks in gang unschedulable." in told.text
    passed = unschedulable | {"status": "False"}
    told = state("volcano", at("Pending"), inner=[group("Inqueue", conditions=[passed])]).reason
    assert "has admitted it" in told.text


def test_a_run_with_pods_is_no_longer_in_the_queue() -> None:
    assert state("volcano", at("Pending"), pods=[{"kind": "Pod"}]).phase is None
    assert state("volcano", at("Restarting"), pods=[{"kind": "Pod"}]).phase is Phase.WAITING


@pytest.mark.parametrize(("word", "rests"), [("Aborting", True), ("Aborted", True), ("Running", False), ("", False)])
def test_it_rests_when_it_was_aborted(word: str, rests: bool) -> None:
    assert volcano.suspended({"status": at(word)}) is rests


def test_its_size_is_that_of_all_its_tasks() -> None:
    assert volcano.size({"spec": {"tasks": [{"replicas": 2}, {"replicas": 1}, {}]}}) == 3


@pytest.mark.parametrize(("deed", "action"), [(volcano.pause, "AbortJob"), (volcano.resume, "ResumeJob")])
def test_it_is_told_by_a_command_that_its_job_owns(deed: Any, action: str) -> None:
    change = deed({"metadata": {"name": NAME, "uid": "42"}})
    assert (change.verb, change.version, change.kind) == ("create", "bus.volcano.sh/v1alpha1", "Command")
    assert (change.body["apiVersion"], change.body["kind"], change.body["action"]) == (
        change.version,
        change.kind,
        action,
    )
    target = {
        "apiVersion": "batch.volcano.sh/v1alpha1",
        "kind": "Job",
        "name": NAME,
        "uid": "42",
        "controller": True,
        "blockOwnerDeletion": True,
    }
    assert change.body["target"] == target
    assert change.body["metadata"] == {
        "generateName": f"{NAME}-{action.lower()}-",
        "ownerReferences": [target],
    }
