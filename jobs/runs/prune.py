"""Which objects of runs may go. Pure."""

from collections.abc import Sequence
from datetime import UTC, datetime

from jobs.diagnosis.observe import observe
from jobs.engines.status import Observed, Phase, Status
from jobs.kube.fields import moment, run_of
from jobs.kube.objects import Object

_BEGINNING = datetime.min.replace(tzinfo=UTC)


def trains(status: Status) -> bool:
    """Check whether deleting a run would end work that is being done, and that nobody has told to end."""
    alive = any(node.pod and node.started and not node.finished for node in status.nodes)
    return status.phase in (Phase.RUNNING, Phase.WAITING, Phase.UNKNOWN) and alive


def prunable(workloads: Sequence[Object], *, keep: int, now: datetime) -> list[Object]:
    """Return the objects of runs that are over, but for the newest such runs.

    A run that has one object which is not over is kept whole: the older ones say how it came about.

    Args:
        workloads: all objects of a job's name.
        keep: how many runs that are over stay.
        now: the time.
    """
    runs: dict[str, list[Object]] = {}
    for each in workloads:
        runs.setdefault(run_of(each), []).append(each)
    over = [found for found in runs.values() if all(_final(each, now) for each in found)]
    over.sort(key=lambda found: max(_made(each) for each in found), reverse=True)
    return sorted((each for found in over[keep:] for each in found), key=_made)


def _final(workload: Object, now: datetime) -> bool:
    return observe(Observed(workload=workload, now=now)).final


def _made(workload: Object) -> datetime:
    return moment(workload, "metadata", "creationTimestamp") or _BEGINNING
