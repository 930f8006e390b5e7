"""Read objects of Kubernetes without trusting their shape: what is not as it should be is as if it were not there."""

import functools
from datetime import UTC, datetime
from typing import Any, Final

from jobs.kube.objects import Object

RUN_LABEL: Final = "ocrfleet.io/run"


def at(found: Object, *path: str) -> Any:
    """Return what is at a path of keys; None if nothing is."""
    value: Any = found
    for key in path:
        # Not Mapping, whose check takes ten times as long: a list of runs asks some hundred thousand times.
        if not isinstance(value, dict):
            return None
        value = value.get(key)
    return value


def text(found: Object, *path: str) -> str:
    """Return the text at a path; empty if there is none."""
    value: Any = found
    for key in path:  # as `at` does, whose call would take a third of the time: this is asked most often
        if not isinstance(value, dict):
            return ""
        value = value.get(key)
    return value if isinstance(value, str) else ""


def number(found: Object, *path: str) -> int | None:
    """Return the whole number at a path."""
    value = at(found, *path)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def several(found: Object, *path: str) -> list[Object]:
    """Return the objects of the list at a path."""
    value = at(found, *path)
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def moment(found: Object, *path: str) -> datetime | None:
    """Return the time at a path."""
    word = text(found, *path)
    if not word:
        return None
    try:
        given = datetime.fromisoformat(word)
    except ValueError:
        return None
    return given if given.tzinfo else given.replace(tzinfo=UTC)


def condition(found: Object, kind: str) -> Object | None:
    """Return an object's condition by its type."""
    return next((each for each in several(found, "status", "conditions") if each.get("type") == kind), None)


def holds(found: Object, kind: str) -> bool:
    """Check whether an object's condition is true."""
    return text(condition(found, kind) or {}, "status") == "True"


def true_conditions(found: Object) -> list[str]:
    """Return the types of all conditions that are true."""
    given = several(found, "status", "conditions")
    return [kind for each in given if text(each, "status") == "True" and (kind := text(each, "type"))]


def name_of(found: Object) -> str:
    """Return an object's name."""
    return text(found, "metadata", "name")


def label(found: Object, key: str) -> str:
    """Return the value of an object's label."""
    return text(found, "metadata", "labels", key)


def run_of(found: Object) -> str:
    """Return the id of the run that an object is of; its name, where it has no such label."""
    return label(found, RUN_LABEL) or name_of(found)


def quantity(value: Any) -> float:
    """Return an amount of a resource, such as `4`, `250m` or `16Gi`; 0 for anything else."""
    return _parsed(str(value))


@functools.lru_cache(maxsize=4096)  # the same few amounts, in thousands of pods
def _parsed(amount: str) -> float:
    # Imported here: commands without a cluster read fields, too, and do without the package.
    from kubernetes.utils.quantity import parse_quantity

    try:
        return float(parse_quantity(amount))
    except (ValueError, ArithmeticError):
        return 0.0


def spelled(amount: float) -> str:
    """Write an amount without digits that say nothing."""
    return f"{amount:g}"


def one_line(message: str) -> str:
    """Return a message of another program as part of a sentence: one line of at most 300 characters, no full stop."""
    line = " ".join(message.split()).rstrip(".")
    return line if len(line) <= 300 else f"{line[:299]}…"
