"""`ocrfleet diff`: what a job file would change, compared with an object on a cluster."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from jobs.engines import runfile
from jobs.kube.fields import name_of, run_of
from jobs.kube.objects import Object


@dataclass(frozen=True, kw_only=True)
class Difference:
    """The effect of submitting."""

    sentence: str
    changes: tuple[str, ...]
    """Each field that differs, with both values."""

    same: bool


def compare(new: Object, old: Object) -> Difference:
    """Compare a rendered workload with one on a cluster.

    Args:
        new: as the chart makes it.
        old: as the server has it, with the server's own defaults.
    """
    if name_of(new) == name_of(old):
        return Difference(
            sentence=f"No difference: {name_of(old)} is this job. Submitting changes nothing.", changes=(), same=True
        )
    told, before = runfile.of(new) or {}, runfile.of(old) or {}
    changes = [*_fields(told.get("run"), before.get("run"), "run")]
    changes += _fields(told.get("placement"), before.get("placement"), "placement")
    if new["kind"] != old["kind"]:
        changes.append(f"placement.engine: a {old['kind']} -> a {new['kind']}")
    else:
        changes += _of_object(new.get("spec"), old.get("spec"), f"{new['kind']} spec")
    if run_of(new) == run_of(old):
        sentence = f"A new object {name_of(new)} that resumes the run {run_of(old)}:"
    else:
        sentence = f"A new run {run_of(new)}; {run_of(old)} is not changed:"
    if not changes:
        changes = ["only fields that the job file no longer has, or another version of the chart"]
    return Difference(sentence=sentence, changes=tuple(changes), same=False)


_NONE: Final = "(none)"


def _fields(new: Any, old: Any, path: str) -> Iterator[str]:
    """Walk the fields of either side; a list is a value."""
    if isinstance(new, Mapping) and isinstance(old, Mapping):
        for key in [*old, *(key for key in new if key not in old)]:
            yield from _fields(new.get(key), old.get(key), f"{path}.{key}")
    elif new != old:
        yield f"{path}: {_shown(old)} -> {_shown(new)}"


# What stands in these is said by fields of the job file already.
_SAID: Final = frozenset((runfile.ANNOTATION, "ocrfleet.io/run", "completions", "parallelism", "env"))


def _of_object(new: Any, old: Any, path: str) -> Iterator[str]:
    """Walk what the chart has written; all else is a default of the server."""
    if isinstance(new, Mapping) and isinstance(old, Mapping):
        for key, value in new.items():
            if key not in _SAID:
                yield from _of_object(value, old.get(key), f"{path}.{key}")
    elif isinstance(new, list) and isinstance(old, list) and len(new) == len(old):
        for place, (mine, theirs) in enumerate(zip(new, old, strict=True)):
            yield from _of_object(mine, theirs, f"{path}[{place}]")
    elif new != old and not path.endswith(".image"):
        yield f"{path}: {_shown(old)} -> {_shown(new)}"


def _shown(value: Any) -> str:
    return _NONE if value is None or value == {} else str(value)
