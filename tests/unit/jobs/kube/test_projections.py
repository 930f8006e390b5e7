"""What is decoded of long lists is all that is read of them."""

import json
from typing import Any

import msgspec
import pytest

from jobs.diagnosis.cost import cost
from jobs.engines.status import Observed
from jobs.kube import projections
from tests.unit.jobs.states.read import FILES, NOW, recorded, status


def read_as(shape: Any, objects: Any) -> Any:
    """Give what a list makes of objects, whose kinds it knows."""
    decoder = msgspec.json.Decoder(list[shape])
    kinds = [{key: each[key] for key in ("apiVersion", "kind") if key in each} for each in objects]
    return [{**kind, **read} for kind, read in zip(kinds, decoder.decode(json.dumps(objects).encode()), strict=True)]


@pytest.mark.parametrize("state", FILES)
def test_what_a_list_reads_of_objects_is_all_that_a_state_is_read_from(state: str) -> None:
    whole = recorded(state)
    listed = {
        **whole,
        "workload": read_as(projections.Whole, [whole["workload"]])[0],
        "pods": read_as(projections.Pod, whole.get("pods") or []),
        "inner": read_as(projections.Whole, whole.get("inner") or []),
        "queued": next(iter(read_as(projections.Whole, [whole["queued"]])), None) if whole.get("queued") else None,
    }
    told, found = status(whole), status(listed)
    assert found == told
    assert cost(Observed(now=NOW, **listed), found) == cost(Observed(now=NOW, **whole), told)
