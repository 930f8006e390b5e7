"""`ocrfleet top`: device-hours, idle and queue time, by what the pods that are there say."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from jobs.diagnosis.cost import cost
from jobs.diagnosis.observe import observe
from jobs.engines.runfile import ANNOTATION
from jobs.engines.status import Observed
from tests.unit.jobs.apiserver import ApiServer
from tests.unit.jobs.runs.test_find import another
from tests.unit.jobs.states.read import FILES, recorded
from tests.unit.jobs.whole import put

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
RUN_FILE = json.dumps({"placement": {"nodes": 2, "devicesPerNode": 4}})


def at(minute: float | None) -> str | None:
    return None if minute is None else (NOON + timedelta(minutes=minute)).isoformat()


def pod(rank: int, placed: float | None, started: float | None, ended: float | None = None, code: int = 0) -> Any:
    """Give a pod that was placed, started and ended at these minutes."""
    state: dict[str, Any] = {"waiting": {"reason": "ContainerCreating"}}
    if ended is not None:
        state = {"terminated": {"exitCode": code, "startedAt": at(started), "finishedAt": at(ended)}}
    elif started is not None:
        state = {"running": {"startedAt": at(started)}}
    scheduled = {"type": "PodScheduled", "status": "True", "lastTransitionTime": at(placed)}
    over = "Failed" if code else "Succeeded"
    return {
        "kind": "Pod",
        "metadata": {
            "name": f"lines-{rank}-{placed}",
            "creationTimestamp": at(placed or 0),
            "labels": {"batch.kubernetes.io/job-completion-index": str(rank)},
        },
        "spec": {} if placed is None else {"nodeName": "node1"},
        "status": {
            "phase": "Pending" if started is None else "Running" if ended is None else over,
            "conditions": [] if placed is None else [scheduled],
            "containerStatuses": [{"name": "trainer", "state": state}],
        },
    }


def workload(**status: Any) -> dict[str, Any]:
    """Give a Job of two nodes with four devices each, made at noon."""
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "lines", "creationTimestamp": at(0)},
        "spec": {"completions": 2, "template": {"metadata": {"annotations": {ANNOTATION: RUN_FILE}}}},
        "status": status,
    }


def spent(*pods: Any, now: float = 60, made: Any = None) -> tuple[float | None, float | None, float | None]:
    """Give device-hours, idle device-hours and the minutes in the queue."""
    observed = Observed(workload=made or workload(), now=NOON + timedelta(minutes=now), pods=pods)
    found = cost(observed, observe(observed))
    assert found.devices == 8
    waited = None if found.queued is None else found.queued / timedelta(minutes=1)
    return found.device_hours, found.idle_hours, waited


@pytest.mark.parametrize(
    ("pods", "expected"),
    [
        pytest.param([], (0, 0, 60), id="no pod yet: it waits until now"),
        pytest.param([pod(0, None, None), pod(1, None, None)], (0, 0, 60), id="no place yet"),
        pytest.param([pod(0, 0, 0), pod(1, 0, 0)], (8, 0, 0), id="at work from the first minute"),
        pytest.param([pod(0, 15, 15), pod(1, 15, 15)], (6, 0, 15), id="a quarter in the queue"),
        pytest.param([pod(0, 0, 15), pod(1, 0, 30)], (8, 4, 0), id="images are fetched: half an hour of eight"),
        pytest.param([pod(0, 0, 0), pod(1, None, None)], (4, 4, 0), id="a peer without a place: four wait"),
        pytest.param([pod(0, 0, 0), pod(1, 30, 30)], (6, 2, 0), id="a peer that came late"),
        pytest.param(
            [pod(0, 0, 0), pod(1, 0, 0, 15, 75), pod(1, 45, 45)], (6, 2, 0), id="a peer was lost and came back"
        ),
        pytest.param([pod(0, 0, 0), pod(1, 0, 0, 30, 0)], (6, 0, 0), id="a peer is done: the leader does not miss it"),
        pytest.param([pod(0, 0, 0, 45, 0), pod(1, 0, 0, 30, 0)], (5, 0, 0), id="over: what was is counted"),
        pytest.param([pod(0, 0, 0, 15, 41), pod(1, 0, 0, 30, 75)], (3, 1, 0), id="failed: who stays waits in vain"),
    ],
)
def test_hours_are_counted_by_the_pods(pods: list[Any], expected: tuple[float, float, float]) -> None:
    assert spent(*pods) == pytest.approx(expected)


def test_pods_that_are_gone_are_not_known() -> None:
    complete = {"type": "Complete", "status": "True", "lastTransitionTime": at(30)}
    assert spent(made=workload(conditions=[complete], startTime=at(0))) == (None, None, None)
    stopped = workload(conditions=[{"type": "Suspended", "status": "True"}])
    stopped["spec"]["suspend"] = True
    assert spent(made=stopped) == (None, None, None)


def test_a_run_that_was_preempted_does_not_seem_free_of_charge() -> None:
    """Its pods are gone, and it waits again."""
    objects = recorded("kueue-preempted") | {"pods": []}
    observed = Observed(now=NOON, **objects)
    found = cost(observed, observe(observed))
    assert (found.held, found.device_hours) == (None, None)


@pytest.mark.parametrize("state", FILES)
def test_what_real_clusters_say_can_be_counted(state: str) -> None:
    observed = Observed(now=NOON, **recorded(state))
    found = cost(observed, observe(observed))
    assert found.devices is None, "these recordings have no run.yaml"
    assert (found.held is None) == (found.idle is None)
    assert timedelta() <= (found.idle or timedelta()) <= (found.held or timedelta())
    assert found.queued is None or found.queued >= timedelta()


def test_the_kueue_of_a_run_says_how_long_it_waited() -> None:
    observed = Observed(now=NOON, **recorded("kueue-waiting"))
    assert cost(observed, observe(observed)).queued == NOON - datetime(2026, 11, 23, 0, 7, 56, tzinfo=UTC)


def _charged(api: ApiServer) -> None:
    """Two runs whose pods are known: of 2 x 4 devices, and one without its run.yaml."""
    first = put(api, "job-exit-41", namespace="ml")
    another(api, {**first, "status": {}}, "lines-00000002-0002", "lines-00000002", "2026-11-23T00:10:00Z")
    made = json.loads(json.dumps(first))
    made["spec"]["template"]["metadata"].setdefault("annotations", {})[ANNOTATION] = RUN_FILE
    api.put(made, namespace="ml")


def test_the_dearest_run_is_first(api: ApiServer, ocrfleet: Callable[..., Any]) -> None:
    _charged(api)
    heading, first, second = ocrfleet("top", "-n", "ml").out.splitlines()
    assert heading.split() == ["RUN", "PHASE", "DEVICES", "DEVICE-HOURS", "IDLE", "QUEUED"]
    assert first.split()[:5] == ["lines-1a2b3c4d", "Failed", "8", "0.00", "0.00"]
    assert second.split()[:5] == ["lines-00000002", "Waiting", "?", "?", "?"]


@pytest.mark.parametrize("words", [("-A", "-o", "wide"), ("--all-namespaces", "--output", "wide")])
def test_wide_has_engine_and_object(words: tuple[str, ...], api: ApiServer, ocrfleet: Callable[..., Any]) -> None:
    _charged(api)
    heading, first, _ = ocrfleet("top", *words).out.splitlines()
    assert (heading.split()[0], heading.split()[-2:]) == ("NAMESPACE", ["ENGINE", "OBJECT"])
    assert first.split()[-2:] == ["job", "lines-1a2b3c4d-9f0e"]


def test_data_can_be_added_up(api: ApiServer, ocrfleet: Callable[..., Any]) -> None:
    _charged(api)
    first, second = json.loads(ocrfleet("top", "-n", "ml", "-o", "json").out)
    assert set(first) == {
        *("run", "object", "namespace", "engine", "phase", "devices"),
        *("deviceHours", "idleDeviceHours", "queuedSeconds"),
    }
    assert (first["devices"], first["namespace"]) == (8, "ml")
    assert first["deviceHours"] > 0
    assert second["deviceHours"] is None
