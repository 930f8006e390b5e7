"""How each engine is told to rest and to go on, and by which label its pods are found.

The recorded states `*-suspended` show what real controllers make of these changes; no Volcano was recorded.
"""

from typing import Any

import pytest

from jobs.diagnosis import kueue
from jobs.engines import ENGINES, engine_of
from tests.unit.jobs.states.read import FILES, recorded


@pytest.mark.parametrize("engine", ["job", "jobset", "trainjob"])
def test_a_job_a_jobset_and_a_trainjob_are_suspended(engine: str) -> None:
    workload = recorded(f"{engine}-running")["workload"]
    pause, resume = ENGINES[engine].pause(workload), ENGINES[engine].resume(workload)
    assert (pause.verb, pause.name) == ("patch", workload["metadata"]["name"])
    assert (pause.version, pause.kind) == (workload["apiVersion"], workload["kind"])
    assert (pause.body, resume.body) == ({"spec": {"suspend": True}}, {"spec": {"suspend": False}})


def test_a_paddlejob_has_its_switch_in_the_run_policy() -> None:
    workload = recorded("paddlejob-running")["workload"]
    made = ENGINES["paddlejob"]
    assert made.pause(workload).body == {"spec": {"runPolicy": {"suspend": True}}}
    assert made.resume(workload).body == {"spec": {"runPolicy": {"suspend": False}}}


def test_under_kueue_the_workload_is_told_and_the_job_is_left_to_kueue() -> None:
    queued = recorded("kueue-running")["queued"]
    pause = kueue.pause(queued)
    assert (pause.kind, pause.name) == ("Workload", queued["metadata"]["name"])
    assert (pause.body, kueue.resume(queued).body) == ({"spec": {"active": False}}, {"spec": {"active": True}})


@pytest.mark.parametrize(("deed", "action"), [("pause", "AbortJob"), ("resume", "ResumeJob")])
def test_volcano_is_told_by_a_command_that_its_job_owns(deed: str, action: str) -> None:
    metadata = {"name": "lines-1a2b3c4d-9f0e", "uid": "42"}
    change = getattr(ENGINES["volcano"], deed)({"metadata": metadata})
    assert (change.verb, change.kind, change.body["action"]) == ("create", "Command", action)
    assert change.body["target"] == change.body["metadata"]["ownerReferences"][0]
    assert (change.body["target"]["name"], change.body["target"]["uid"]) == ("lines-1a2b3c4d-9f0e", "42")
    assert change.body["metadata"]["generateName"] == f"lines-1a2b3c4d-9f0e-{action.lower()}-"


@pytest.mark.parametrize("state", [state for state in FILES if recorded(state)["pods"]])
def test_an_engine_finds_its_recorded_pods_and_their_ranks_by_label(state: str) -> None:
    objects = recorded(state)
    engine = engine_of(objects["workload"])
    assert engine
    key, _, value = engine.pod_selector(objects["workload"]["metadata"]["name"]).partition("=")
    for pod in objects["pods"]:
        labels = pod["metadata"]["labels"]
        assert labels[key] == value
        assert labels[engine.RANK_LABEL] in ("0", "1")


@pytest.mark.parametrize("state", FILES)
def test_an_engine_knows_how_many_nodes_a_recorded_object_has(state: str) -> None:
    workload: dict[str, Any] = recorded(state)["workload"]
    engine = engine_of(workload)
    assert engine
    assert engine.size(workload) == (1 if state == "job-memory" else 2)
