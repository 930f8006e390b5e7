"""The recorded states, as the tests read them."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from jobs.diagnosis.observe import observe
from jobs.engines.status import Observed, Status

NOW = datetime(2026, 11, 23, tzinfo=UTC)
"""After all of them were recorded."""

FILES = {path.stem: path for path in Path(__file__).parent.glob("*.json")}


def recorded(state: str) -> dict[str, Any]:
    """Give the objects of a state; tests may change them."""
    found: dict[str, Any] = json.loads(FILES[state].read_text("utf-8"))
    return found


def status(objects: dict[str, Any]) -> Status:
    """Give what is so with recorded objects."""
    return observe(Observed(now=NOW, **objects))
