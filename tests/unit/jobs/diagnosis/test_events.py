"""`ocrfleet events`: what was said of a run, oldest first, each once."""

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import yaml

from jobs.diagnosis import events as event_lines
from jobs.engines.status import Observed
from tests.unit.jobs.apiserver import ApiServer
from tests.unit.jobs.states.read import NOW
from tests.unit.jobs.whole import put

RUN = "lines-1a2b3c4d"
OBJECT = f"{RUN}-9f0e"
WORKLOAD = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": OBJECT, "uid": "the-job"}}


def event(name: str, *, kind: str = "Pod", uid: str = "", **rest: Any) -> dict[str, Any]:
    given = {"type": "Normal", "reason": "Pulled", "message": "It is there.", "lastTimestamp": "2026-11-23T00:00:10Z"}
    return {**given, "involvedObject": {"kind": kind, "name": name, "uid": uid}, **rest}


def chosen(*events: dict[str, Any]) -> list[event_lines.Happening]:
    return event_lines.of(Observed(workload=WORKLOAD, now=NOW), events)


@pytest.mark.parametrize(
    ("said", "ours"),
    [
        pytest.param(event(OBJECT, kind="Job", uid="the-job"), True, id="of the object"),
        pytest.param(event(OBJECT, kind="Job", uid="an-older-job"), False, id="of an older object of its name"),
        pytest.param(event(f"{OBJECT}-0-xyz", uid="gone"), True, id="of a pod that is gone"),
        pytest.param(event(f"{RUN}-0001-0-xyz", uid="other"), False, id="of another object's pod"),
        pytest.param(event("node1", kind="Node", uid="node1"), False, id="of a machine"),
        pytest.param({"involvedObject": None, "lastTimestamp": "2026-11-23T00:00:10Z"}, False, id="of nothing"),
        pytest.param(event(f"{OBJECT}-0-xyz", lastTimestamp=None), False, id="at no time"),
    ],
)
def test_only_what_is_said_of_the_run_is_told(said: dict[str, Any], ours: bool) -> None:
    assert bool(chosen(said)) == ours


@pytest.mark.parametrize(
    ("times", "count", "first", "last"),
    [
        ({"firstTimestamp": "2026-11-23T00:00:01Z", "count": 7}, 7, 1, 10),
        ({"lastTimestamp": None, "eventTime": "2026-11-23T00:00:02.5Z"}, 1, 2.5, 2.5),
        (
            {
                "lastTimestamp": None,
                "eventTime": "2026-11-23T00:00:02Z",
                "series": {"count": 3, "lastObservedTime": "2026-11-23T00:00:30.000001Z"},
            },
            3,
            2,
            30.000001,
        ),
        ({"lastTimestamp": None, "metadata": {"creationTimestamp": "2026-11-23T00:00:04Z"}}, 1, 4, 4),
    ],
    ids=["older reporters", "newer ones", "a series", "no time of its own"],
)
def test_times_and_counts_are_read_of_either_api(times: dict[str, Any], count: int, first: float, last: float) -> None:
    [found] = chosen(event(f"{OBJECT}-0-xyz", **times))
    midnight = datetime(2026, 11, 23, tzinfo=UTC)
    assert (found.count, (found.first - midnight).total_seconds(), (found.last - midnight).total_seconds()) == (
        count,
        first,
        last,
    )


def test_what_was_said_again_is_there_once_and_the_last_said_is_last() -> None:
    pod = f"{OBJECT}-0-xyz"
    again = event(pod, count=2, lastTimestamp="2026-11-23T00:09:00Z", firstTimestamp="2026-11-23T00:08:00Z")
    found = chosen(again, event(pod), event(pod, message="Another\n  line.", lastTimestamp="2026-11-23T00:05:00Z"))
    assert [(each.message, each.count) for each in found] == [("Another line.", 1), ("It is there.", 3)]
    assert found[1].last - found[1].first == timedelta(minutes=8, seconds=50)


def test_the_table_is_oldest_first_with_short_names(api: ApiServer, ocrfleet: Callable[..., Any]) -> None:
    put(api, "kueue-preempted")
    heading, *rows = ocrfleet("events", "lines").out.splitlines()
    assert heading.split() == ["LAST", "COUNT", "TYPE", "REASON", "OBJECT", "MESSAGE"]
    assert "CreatedWorkload" in rows[0]
    assert "couldn't assign flavors" in rows[-1]
    assert any("Pod …-0-m7wdb" in row for row in rows)
    assert any(re.search(r"Resumed +Job +\S", row) for row in rows), "an object is known by its kind alone"
    assert not any("urgent" in row for row in rows), "what is said of a rival is not of this run"
    assert sum("Suspended" in row for row in rows) == 1


def test_wide_has_whole_names(api: ApiServer, ocrfleet: Callable[..., Any]) -> None:
    put(api, "jobset-exit-42")
    assert f"Pod {OBJECT}-node-0-0-8t5zw" in ocrfleet("events", RUN, "-o", "wide").out


def test_data_has_moments(api: ApiServer, ocrfleet: Callable[..., Any]) -> None:
    put(api, "job-no-gpu", namespace="ml")
    found = json.loads(ocrfleet("events", RUN, "-n", "ml", "-o", "json").out)
    assert found == yaml.safe_load(ocrfleet("events", RUN, "--namespace", "ml", "--output", "yaml").out)
    assert set(found[0]) == {"first", "last", "count", "type", "reason", "kind", "name", "message"}
    assert [each["last"] for each in found] == sorted(each["last"] for each in found)
    assert {each["type"] for each in found if each["reason"] == "FailedScheduling"} == {"Warning"}


def test_no_events_are_no_error_and_no_right_to_them_is(api: ApiServer, ocrfleet: Callable[..., Any]) -> None:
    workload = put(api, "job-running")
    api.objects = {path: each for path, each in api.objects.items() if "/events/" not in path}
    ran = ocrfleet("events", RUN)
    assert (ran.code, ran.out) == (0, "")
    assert f"No events of {workload['metadata']['name']}" in ran.err
    api.refused = {("list", "events")}
    ran = ocrfleet("events", RUN)
    assert ran.code == 42
    assert "events is forbidden" in ran.err
