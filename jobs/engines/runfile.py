"""What a run was told to do: the run.yaml in the pod template of its object, whatever the engine."""

import json
from collections.abc import Mapping
from typing import Any, Final

from jobs.kube.fields import text
from jobs.kube.objects import Object

ANNOTATION: Final = "ocrfleet.io/run.yaml"


def of(workload: Object) -> Mapping[str, Any] | None:
    """Return a run's name, `run` half and part of its placement, as the chart wrote them; None if nothing is there."""
    try:
        found = json.loads(_annotation(workload) or "")  # the chart writes JSON, which is YAML
    except ValueError:
        return None
    return found if isinstance(found, Mapping) else None


def output(workload: Object) -> str:
    """Return the location that a run writes to, `run.output`; empty if its object does not say."""
    return text(of(workload) or {}, "run", "output")


def _annotation(value: Any) -> str | None:
    """Look for it in depth: each engine keeps its pod template in a place of its own."""
    if isinstance(value, Mapping):
        if isinstance(found := value.get(ANNOTATION), str):
            return found
        value = list(value.values())
    found_below = (_annotation(each) for each in value) if isinstance(value, list) else iter(())
    return next((each for each in found_below if each is not None), None)
