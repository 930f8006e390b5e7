"""What commands have changed on the API server, and objects of an age."""

import copy
from datetime import UTC, datetime
from typing import Any

from tests.objects import Object
from tests.unit.jobs.apiserver import ApiServer
from tests.unit.jobs.states.read import recorded


def changes(api: ApiServer) -> list[tuple[str, str, Any]]:
    return [(verb, path.rpartition("/")[2], body) for verb, path, _, body in api.asked if verb not in ("GET", "POST")]


def made(state: str, number: int, run: int) -> Object:
    found: Object = copy.deepcopy(recorded(state)["workload"])
    labels = {**found["metadata"]["labels"], "ocrfleet.io/run": f"lines-{run:08}"}
    created = datetime(2026, 1, number, tzinfo=UTC).isoformat()
    found["metadata"] |= {"name": f"o{number}", "labels": labels, "creationTimestamp": created}
    return found
