"""Whatever the API server answers, a status comes of it: nothing here raises."""

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jobs.diagnosis import kueue
from jobs.diagnosis.observe import observe
from jobs.engines import ENGINES
from jobs.engines.status import Observed, Phase, Status
from tests.unit.jobs.states.read import FILES, NOW, recorded

QUICK = settings(deadline=timedelta(seconds=1), suppress_health_check=[HealthCheck.too_slow])
LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=8),
    st.sampled_from(
        [
            "True",
            "Failed",
            "Pending",
            "1",
            "-1",
            "99999999999999999999",
            "٣",
            "2026-13-45T99:00:00Z",
            "0/1 nodes are available: ",
        ]
    ),
    st.sampled_from(["{run}", "error: ", "insufficient unused quota for cpu in flavor x, 1e99 more needed", "1" * 400]),
)
WORDS = (
    "apiVersion kind metadata name labels spec status conditions type reason message phase state waiting terminated "
    "exitCode containerStatuses restartCount replicas completions suspend active creationTimestamp ownerReferences "
    "podSets admission podSetAssignments queueName allocatable nodeName"
)
KEYS = st.sampled_from(WORDS.split())
JSON = st.recursive(LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=5))
OBJECTS = st.dictionaries(KEYS, JSON, max_size=6)


def good(status: Status) -> None:
    assert status.phase in Phase
    assert "\n" not in str(status.reason)
    assert len(status.nodes) <= 10_000


@QUICK
@given(
    engine=st.sampled_from(sorted(ENGINES)),
    workload=OBJECTS,
    many=st.lists(OBJECTS, max_size=3),
    one=st.none() | OBJECTS,
)
def test_objects_of_any_shape_are_read(engine: str, workload: dict[str, Any], many: list[Any], one: Any) -> None:
    made = ENGINES[engine]
    whole = workload | {"apiVersion": made.VERSION, "kind": made.KIND}
    good(
        observe(
            Observed(
                workload=whole,
                now=NOW,
                pods=many,
                inner=many,
                events=many,
                queued=one,
                rivals=many,
                machines=many,
                neighbours=many,
            )
        )
    )


PATHS = st.sampled_from(["workload", "pods", "inner", "events", "queued", "rivals", "machines"])


@QUICK
@given(state=st.sampled_from(sorted(FILES)), data=st.data())
def test_a_recorded_run_with_one_thing_out_of_shape_is_read(state: str, data: st.DataObject) -> None:
    objects = recorded(state)
    place: Any = objects[data.draw(PATHS)]
    while isinstance(place, dict | list) and place:
        key = data.draw(st.sampled_from(sorted(place)) if isinstance(place, dict) else st.integers(0, len(place) - 1))
        if data.draw(st.booleans()) or not isinstance(place[key], dict | list):
            if place is not objects["pods"] and place is not objects["workload"]:
                place[key] = data.draw(JSON)
            break
        place = place[key]
    keep = {
        key: [each for each in value if isinstance(each, dict)]
        for key, value in objects.items()
        if isinstance(value, list)
    }
    good(observe(Observed(now=NOW, **(objects | keep))))


@QUICK
@given(OBJECTS)
def test_changes_take_any_object(found: dict[str, Any]) -> None:
    for made in (*ENGINES.values(), kueue):
        made.pause(found)
        made.resume(found)


@pytest.mark.parametrize("found", [{}, {"kind": "Deployment", "apiVersion": "apps/v1"}, {"kind": 7}])
def test_an_object_of_no_engine_is_unknown_and_says_so(found: dict[str, Any]) -> None:
    told = observe(Observed(workload=found, now=NOW))
    assert told.phase is Phase.UNKNOWN
    assert "no engine that" in told.reason.text
