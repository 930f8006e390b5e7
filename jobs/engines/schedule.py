"""What a schedule, a CronJob of Kubernetes, says of itself."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from jobs.engines.state import Change, patch
from jobs.engines.status import NO_REASON, Object, Reason
from jobs.kube.fields import at, moment, name_of, several, text

VERSION: Final = "batch/v1"
KIND: Final = "CronJob"


@dataclass(frozen=True, kw_only=True)
class ScheduleStatus:
    """When a schedule fires, and whether it does."""

    name: str
    cron: str
    """As the job file has it."""

    time_zone: str | None
    """None: that of the cluster's controllers."""

    suspended: bool
    last: datetime | None
    """When it last fired."""

    last_done: datetime | None
    """When a run of it last came to a good end."""

    running: tuple[str, ...]
    """Names of its runs that are not over."""

    reason: Reason = NO_REASON
    """Why nothing runs, where somebody has to do something."""


def observe(cronjob: Object) -> ScheduleStatus:
    """Give what is so with a schedule."""
    name, suspended = name_of(cronjob), at(cronjob, "spec", "suspend") is True
    reason = Reason("The schedule is suspended.", f"`ocrfleet schedule resume {name}` lets it fire again.")
    return ScheduleStatus(
        name=name,
        cron=text(cronjob, "spec", "schedule"),
        time_zone=text(cronjob, "spec", "timeZone") or None,
        suspended=suspended,
        last=moment(cronjob, "status", "lastScheduleTime"),
        last_done=moment(cronjob, "status", "lastSuccessfulTime"),
        running=tuple(name for each in several(cronjob, "status", "active") if (name := text(each, "name"))),
        reason=reason if suspended else NO_REASON,
    )


def pause(cronjob: Object) -> Change:
    """Give the change after which it fires no more."""
    return patch(cronjob, {"spec": {"suspend": True}})


def resume(cronjob: Object) -> Change:
    """Give the change after which it fires again."""
    return patch(cronjob, {"spec": {"suspend": False}})
