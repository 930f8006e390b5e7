"""The cost of a run: device-hours, time in the queue, and idle time of its devices.

All of it comes from existing pods. A pod holds its devices from scheduling to the end of its container.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise

from jobs.diagnosis.containers import exit_code, of_trainer
from jobs.engines import engine_of, runfile
from jobs.engines.status import Observed, Phase, Status
from jobs.kube.fields import at, condition, label, moment, number, text
from jobs.kube.objects import Object


@dataclass(frozen=True, kw_only=True)
class Cost:
    """The cost of a run until now."""

    devices: int | None
    """Of all its nodes; None if its object does not say."""

    held: timedelta | None
    """Time of nodes, added up, for which these had their devices; None where no pod is left that says so."""

    idle: timedelta | None
    """The part of `held` in which not all nodes were at work: one had no pod, or still fetched its image."""

    queued: timedelta | None
    """From its creation, or its last return to the queue, until Kueue or the scheduler had room; None when stopped."""

    per_node: int | None = None
    """Devices of a node."""

    @property
    def device_hours(self) -> float | None:
        """Hours of all devices."""
        return _hours(self.held, self.per_node)

    @property
    def idle_hours(self) -> float | None:
        """The part of `device_hours` in which the devices waited."""
        return _hours(self.idle, self.per_node)


def _hours(time: timedelta | None, devices: int | None) -> float | None:
    return None if time is None or devices is None else time / timedelta(hours=1) * devices


@dataclass(frozen=True)
class _Stay:
    """A pod's stay on a Kubernetes node."""

    rank: str
    placed: datetime
    started: datetime | None
    ended: datetime | None
    done: bool
    """It ended with 0: its node is not missed afterwards."""


def cost(observed: Observed, status: Status) -> Cost:
    """Return the cost of a run, from its objects."""
    engine = engine_of(observed.workload)
    stays = list(_stays(observed.pods, engine.RANK_LABEL)) if engine else []
    size = engine.size(observed.workload) if engine else 0
    placement = at(runfile.of(observed.workload) or {}, "placement") or {}
    per_node = number(placement, "devicesPerNode")
    held, idle = _add_up(stays, size, until=observed.now)
    evicted = status.queue is not None and status.queue.evictions > 0
    known = stays or (status.phase in (Phase.QUEUED, Phase.WAITING) and not evicted)
    return Cost(
        devices=None if per_node is None else per_node * size,
        held=held if known else None,
        idle=idle if known else None,
        queued=_queued(status, stays, until=status.finished or observed.now),
        per_node=per_node,
    )


def _stays(pods: Sequence[Object], rank_label: str) -> Iterator[_Stay]:
    for pod in pods:
        placed = moment(condition(pod, "PodScheduled") or {}, "lastTransitionTime")
        if not placed or not text(pod, "spec", "nodeName"):
            continue
        state = at(of_trainer(pod), "state") or {}
        started = moment(state, "running", "startedAt") or moment(state, "terminated", "startedAt")
        over = text(pod, "status", "phase") in ("Succeeded", "Failed")
        # A pod that failed before its container started says only when it was made.
        ended = moment(state, "terminated", "finishedAt") or (placed if over else None)
        yield _Stay(label(pod, rank_label), placed, started, ended, exit_code(pod) == 0)


def _add_up(stays: Sequence[_Stay], size: int, *, until: datetime) -> tuple[timedelta, timedelta]:
    """Go from one change to the next: who has devices, and is everybody at work?"""
    moments = {until} | {each for stay in stays for each in (stay.placed, stay.started, stay.ended) if each}
    held = idle = timedelta()
    for begin, end in pairwise(sorted(moments)):
        if end > until:
            break
        there = sum(stay.placed <= begin and not _over(stay, begin) for stay in stays)
        at_work = {stay.rank for stay in stays if _at_work(stay, begin)}
        held += (end - begin) * there
        idle += (end - begin) * there * (len(at_work) < size)
    return held, idle


def _over(stay: _Stay, now: datetime) -> bool:
    return stay.ended is not None and stay.ended <= now


def _at_work(stay: _Stay, now: datetime) -> bool:
    """Check whether a node runs, or has done its part: then the leader needs no peer."""
    return stay.started is not None and stay.started <= now and (stay.done or not _over(stay, now))


def _queued(status: Status, stays: Sequence[_Stay], *, until: datetime) -> timedelta | None:
    if status.queue and status.queue.waited is not None:
        return status.queue.waited
    if status.created is None or status.phase in (Phase.STOPPED, Phase.STOPPING):
        return None
    if not stays and status.final:
        return None
    placed = min((stay.placed for stay in stays), default=until)
    return max(placed - status.created, timedelta())
