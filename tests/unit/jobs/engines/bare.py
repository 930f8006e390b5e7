"""Objects of engines of which only the status is known."""

from collections.abc import Mapping, Sequence
from typing import Any

from jobs.engines import ENGINES
from jobs.engines.state import State
from jobs.engines.status import Observed
from tests.unit.jobs.states.read import NOW


def state(engine: str, status: Mapping[str, Any], **others: Sequence[Mapping[str, Any]]) -> State:
    """Return what an engine reads off an object with this status, and off the objects beside it."""
    made = ENGINES[engine]
    workload = {"apiVersion": made.VERSION, "kind": made.KIND, "metadata": {"name": "lines-1a2b3c4d-9f0e"}}
    return made.state(Observed(workload={**workload, "status": status}, now=NOW, **others))


def true(*kinds: str, reason: str = "Any", at: str = "2026-11-22T10:00:00Z") -> dict[str, Any]:
    """Return a status whose conditions of these types are true."""
    found = [{"type": kind, "status": "True", "reason": reason, "lastTransitionTime": at} for kind in kinds]
    return {"conditions": found}
