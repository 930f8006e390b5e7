"""The events of a run, oldest first, each once: what the cluster has said of its objects."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from jobs.engines.status import Observed
from jobs.kube.fields import at, moment, name_of, number, text
from jobs.kube.objects import Object
from jobs.kube.times import stamp


@dataclass(frozen=True, kw_only=True)
class Happening:
    """What was said of one object, once or again and again."""

    kind: str
    name: str
    warning: bool
    reason: str
    """A controller's word, such as `FailedScheduling`."""

    message: str
    count: int
    first: datetime
    last: datetime

    def facts(self) -> dict[str, Any]:
        """Return it as data."""
        return {
            "first": stamp(self.first),
            "last": stamp(self.last),
            "count": self.count,
            "type": "Warning" if self.warning else "Normal",
            "reason": self.reason,
            "kind": self.kind,
            "name": self.name,
            "message": self.message,
        }

    def about(self, run: str) -> str:
        """Return the object in short, without the name that all of a run's objects have in common."""
        rest = self.name.rpartition(run)[2] if run in self.name and self.kind == "Pod" else ""
        return f"{self.kind} …{rest}" if rest else self.kind


def of(observed: Observed, events: Iterable[Object]) -> list[Happening]:
    """Choose what was said of a run's objects, of its pods that are gone too, by the time that it was last said."""
    every = (observed.workload, *observed.inner, *observed.pods, *([observed.queued] if observed.queued else []))
    uids = {text(each, "metadata", "uid") for each in every} - {""}
    # The names of its pods begin with the object's own, which ends in a hash that no other has.
    prefix = f"{name_of(observed.workload)}-"

    def ours(event: Object) -> bool:
        who = at(event, "involvedObject") or {}
        return text(who, "uid") in uids or (text(who, "kind") == "Pod" and text(who, "name").startswith(prefix))

    return sorted(_once([_read(each) for each in events if ours(each)]), key=lambda each: each.last)


def _once(found: Sequence[Happening | None]) -> list[Happening]:
    once: dict[tuple[str, ...], Happening] = {}
    for each in filter(None, found):
        key = each.kind, each.name, each.reason, each.message
        if old := once.get(key):
            count = old.count + each.count
            each = replace(each, count=count, first=min(old.first, each.first), last=max(old.last, each.last))
        once[key] = each
    return list(once.values())


def _read(event: Object) -> Happening | None:
    """Read an event of either API: older reporters count, newer ones write series."""
    first = moment(event, "firstTimestamp") or moment(event, "eventTime")
    last = moment(event, "series", "lastObservedTime") or moment(event, "lastTimestamp") or first
    last = last or moment(event, "metadata", "creationTimestamp")
    if last is None:
        return None
    return Happening(
        kind=text(event, "involvedObject", "kind"),
        name=text(event, "involvedObject", "name"),
        warning=text(event, "type") == "Warning",
        reason=text(event, "reason"),
        message=" ".join(text(event, "message").split()),
        count=number(event, "series", "count") or number(event, "count") or 1,
        first=first or last,
        last=last,
    )
