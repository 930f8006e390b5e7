"""Logs of a run's pods: of the existing ones, or of all as they are written, across reconnects and new pods."""

import queue
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from jobs.diagnosis.containers import NAMES, of_trainer
from jobs.diagnosis.observe import observe
from jobs.engines import Engine
from jobs.engines.status import Observed, Phase
from jobs.kube.client import DEADLINE, Cluster
from jobs.kube.fields import at, label, moment, name_of, number, several, text
from jobs.kube.informer import PATIENCE, Collection, Following
from jobs.kube.kinds import POD, kind_of
from jobs.kube.objects import Object
from trainer.errors import NotFoundError, OcrfleetError, SpecError, TransientError
from trainer.telemetry import lines

_PAUSE: Final = 1.0
"""Seconds before a broken connection is opened again."""


_CHANGED: Final = "changed"
_ENDED: Final = "ended"
"""What comes beside lines: pods or their workload have changed; a pod is read to its end."""


@dataclass(frozen=True)
class Line:
    """A line of a node's log."""

    node: int
    text: str


def by_rank(pods: Iterable[Object], engine: Engine) -> dict[int, list[Object]]:
    """Return the pods whose container has started by their rank, the newest first."""
    found: dict[int, list[Object]] = {}
    for pod in sorted(pods, key=lambda each: str(moment(each, "metadata", "creationTimestamp")), reverse=True):
        rank = label(pod, engine.RANK_LABEL)
        if rank.isdigit() and text(pod, "status", "phase") not in ("Pending", ""):
            found.setdefault(int(rank), []).append(pod)
    return found


def container(pod: Object) -> str | None:
    """Return the name of the trainer's container; a mesh may add its own."""
    return next((name for each in several(pod, "spec", "containers") if (name := text(each, "name")) in NAMES), None)


def before(cluster: Cluster, pods: dict[int, list[Object]], *, tail: int | None = None) -> Iterator[Line]:
    """Yield the lines of the previous pods or containers.

    Raises:
        NotFoundError: there were none, or they are gone.
    """
    older = {rank: found[1] for rank, found in pods.items() if len(found) > 1}
    again = {rank: found[0] for rank, found in pods.items() if len(found) == 1 and _restarted(found[0])}
    if not older and not again:
        raise NotFoundError(
            "No node has a previous pod that still exists. --attempt reads the logs of earlier pods from the bucket."
        )
    yield from read(cluster, older, tail=tail)
    yield from read(cluster, again, tail=tail, previous=True)


def _restarted(pod: Object) -> bool:
    return any(number(each, "restartCount") for each in several(pod, "status", "containerStatuses"))


def read(
    cluster: Cluster, pods: dict[int, Object], *, tail: int | None = None, previous: bool = False
) -> Iterator[Line]:
    """Return what pods have written until now, node by node."""
    for node, pod in sorted(pods.items()):
        for line in cluster.logs(name_of(pod), container=container(pod), tail=tail, previous=previous):
            yield Line(node, line)


def newest(cluster: Cluster, pods: Iterable[Object], engine: Engine) -> lines.Line | None:
    """Return the newest line of the leader's log that names a stage; None if there is none, or it cannot be read."""
    found = by_rank(pods, engine).get(0)
    if not found:
        return None
    try:
        written = [line.text for line in read(cluster, {0: found[0]}, tail=_TAIL)]
    except OcrfleetError:
        return None
    return next((line for line in map(lines.read, reversed(written)) if line.stage), None)


_TAIL: Final = 20
"""Lines to look through for one of the node itself: a library may have written others since."""


def follow(
    cluster: Cluster, pod: Object, *, tail: int | None = None, since: str = "", patience: float = PATIENCE
) -> Iterator[str]:
    """Yield a pod's lines as they are written, each once, across reconnects, until its container or pod is gone.

    Args:
        cluster: where.
        pod: whose.
        tail: of those that are there, the last so many; None: all.
        since: only those after this moment, as the server writes it; empty: from the first on.
        patience: seconds that they may be out of reach.

    Raises:
        OcrfleetError: they can't be read, or not any more.
    """
    last = since
    broken: float | None = None
    while True:
        resumed, began = last, time.monotonic()
        try:
            with suppress(NotFoundError):
                for stamped in cluster.logs(
                    name_of(pod), container=container(pod), follow=True, tail=None if last else tail, since=last
                ):
                    stamp, _, line = stamped.partition(" ")
                    if stamp > resumed:  # the server goes back to the whole second
                        last, broken = stamp, None
                        yield line
            # A server that is told to end, or a log that is rotated, ends a line as if all had been said.
            if not _goes_on(cluster.get(POD, name_of(pod)), pod):
                return
            threading.Event().wait(_PAUSE)
        except TransientError:
            now = time.monotonic()
            # What lasted longer than a call may take was a line, of a pod with nothing to say.
            if broken is None or now - began > DEADLINE:
                broken = now
            if now - broken > patience:
                raise
            threading.Event().wait(_PAUSE)
        except SpecError:
            return  # the pod went, or its machine did, before it could be read to its end


def _goes_on(now: Object | None, pod: Object) -> bool:
    """Check whether the trainer of a pod, as it is now, runs."""
    if now is None or text(now, "metadata", "uid") != text(pod, "metadata", "uid"):
        return False
    return text(now, "status", "phase") == "Running" and at(of_trainer(now), "state", "running") is not None


class Tailing:
    """Lines of all nodes as they come, of pods that come later too, until the run has none to come."""

    def __init__(
        self, cluster: Cluster, workload: Object, engine: Engine, *, tail: int | None, node: int | None
    ) -> None:
        """Begin.

        Args:
            cluster: where.
            workload: the run's object.
            engine: its own.
            tail: of each pod that is there now, the last so many lines; None: all.
            node: this one alone; None: all.
        """
        self._cluster, self._engine, self._node, self._tail = cluster, engine, node, tail
        mine = Collection(kind=kind_of(workload), fields=f"metadata.name={name_of(workload)}")
        pods = Collection(kind=POD, selector=engine.pod_selector(name_of(workload)))
        self._following = Following(cluster, {"workload": mine, "pods": pods})
        self._came: queue.SimpleQueue[Line | OcrfleetError | str] = queue.SimpleQueue()
        threading.Thread(target=self._look, name="pods", daemon=True).start()

    def lines(self) -> Iterator[Line]:
        """Return them; ends when no pod that could write more is left.

        Raises:
            OcrfleetError: they can't be read any more.
        """
        known: set[str] = set()
        ended = 0
        try:
            while True:
                match self._came.get():
                    case Line() as line:
                        yield line
                        continue
                    case OcrfleetError() as error:
                        raise error
                    case word:
                        ended += word == _ENDED
                self._begin(known)
                if ended == len(known) and self._over():
                    return
        finally:
            self._following.close()

    def _begin(self, known: set[str]) -> None:
        """Read the pods that are new."""
        for rank, found in by_rank(self._following.now("pods") or [], self._engine).items():
            # Some controllers give a pod the name of the one that it replaces.
            uid = text(found[0], "metadata", "uid")
            if uid not in known and self._node in (None, rank):
                known.add(uid)
                words = (rank, found[0], self._tail)
                threading.Thread(target=self._read, args=words, name=f"log-{rank}", daemon=True).start()
        self._tail = None  # a pod that comes later is read from its start

    def _over(self) -> bool:
        """Check whether no pod is to come."""
        now = self._following.now("workload")
        if not now:
            return True
        pods = self._following.now("pods") or []
        status = observe(Observed(workload=now[0], pods=pods, now=datetime.now(UTC)))
        return status.final or status.phase is Phase.STOPPED

    def _look(self) -> None:
        try:
            while True:
                self._following.wait()
                self._came.put(_CHANGED)
        except OcrfleetError as error:
            self._came.put(error)

    def _read(self, rank: int, pod: Object, tail: int | None) -> None:
        try:
            for line in follow(self._cluster, pod, tail=tail):
                self._came.put(Line(rank, line))
        except OcrfleetError as error:
            self._came.put(error)
        self._came.put(_ENDED)
