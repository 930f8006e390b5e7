"""How times are written: spans as kubectl does, moments as Kubernetes does."""

from datetime import UTC, datetime, timedelta
from typing import Final


def span(passed: timedelta) -> str:
    """Write a time that has passed as kubectl does: in two units at most, of those that matter."""
    seconds = max(int(passed.total_seconds()), 0)
    unit = next((unit for unit, size in _UNITS.items() if seconds >= _FROM * size), "s")
    whole, rest = divmod(seconds, _UNITS[unit])
    smaller = _SMALLER.get(unit, "s")
    few = rest // _UNITS[smaller] if whole < _ALONE else 0
    return f"{whole}{unit}{few}{smaller}" if few else f"{whole}{unit}"


_UNITS: Final = {"d": 86400, "h": 3600, "m": 60, "s": 1}
_SMALLER: Final = {"d": "h", "h": "m", "m": "s"}
_FROM: Final = 2
"""From so many of a unit on it is used: 90 minutes are 90m, two days are 2d."""
_ALONE: Final = 10
"""From so many of a unit on a smaller one says nothing."""


def stamp(moment: datetime | None) -> str | None:
    """Write a moment as Kubernetes does."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if moment else None
