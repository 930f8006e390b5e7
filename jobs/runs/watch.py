"""Watch a run: its status and its leader's log, across new pods and restarts of the API server."""

import math
import queue
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from jobs.diagnosis import kueue
from jobs.diagnosis.observe import observe
from jobs.engines import engine_of
from jobs.engines.status import Observed, Phase, Status
from jobs.kube.client import Cluster
from jobs.kube.fields import name_of, run_of, text
from jobs.kube.informer import PATIENCE, Collection, Following
from jobs.kube.kinds import EVENT, POD, Kind, kind_of
from jobs.kube.objects import Object
from jobs.runs import find, pod_logs
from trainer.contract import ExitCode
from trainer.errors import AccessError, NotFoundError, SpecError, TransientError
from trainer.telemetry.lines import Line, read

_BETWEEN: Final = 2.0
"""Seconds from one look to the next: the pods of a large gang change by the hundred while it starts."""

_AGAIN: Final = 30.0
"""Seconds to the next look while a run waits: machines and rivals change without a word to it."""

_GRACE: Final = 5.0
"""Seconds that the API server may be away before that is said: a line that broke is back in less."""

_LAST: Final = 10.0
"""Seconds in which the last lines of a run that is over must have come."""


@dataclass(frozen=True)
class Notice:
    """Something about the watching itself."""

    text: str


_CHANGED: Final = "changed"
_ENDED: Final = "ended"
"""What comes beside lines: objects have changed; a log is read to its end."""


def exit_code(status: Status) -> int:
    """Return the exit code of a run, its own if it has one."""
    if status.phase is Phase.SUCCEEDED:
        return int(ExitCode.DONE)
    return status.exit_code or int(ExitCode.FAILED)


class Watching:
    """Watches a run to its end."""

    def __init__(
        self, cluster: Cluster, workload: Object, *, timeout: float | None = None, patience: float = PATIENCE
    ) -> None:
        """Begin.

        Args:
            cluster: where it is.
            workload: the run's object.
            timeout: seconds; None: until the run is over.
            patience: seconds that the API server may be away.

        Raises:
            SpecError: no engine knows the object.
        """
        engine = engine_of(workload)
        if engine is None:
            raise SpecError(observe(Observed(workload=workload, now=datetime.now(UTC))).reason.text)
        self._cluster, self._workload, self._engine, self._timeout = cluster, workload, engine, timeout
        wanted = _collections(cluster, workload, engine.pod_selector(name_of(workload)))
        self._following = Following(cluster, wanted, patience=patience)
        self._came: queue.SimpleQueue[Line | Notice | Exception | str] = queue.SimpleQueue()
        self._read: set[str] = set()
        self._reading = 0
        self._away_is_said = False
        threading.Thread(target=self._hear, name="objects", daemon=True).start()

    def seen(self) -> Iterator[Status | Line | Notice]:
        """Yield the status at each change, and lines of the log; the last item is the status of the finished run.

        Raises:
            TransientError: the time is over, or the API server was away for too long.
            NotFoundError: the run's object is gone.
        """
        end = time.monotonic() + (math.inf if self._timeout is None else self._timeout)
        due, looked = math.inf, -math.inf
        status: Status | None = None
        with self._following:
            while True:
                came, now = self._next(min(due, end, self._when_to_say_away())), time.monotonic()
                if isinstance(came, (Line, Notice)):
                    yield came
                elif came == _CHANGED:
                    due = min(due, max(now, looked + _BETWEEN))
                yield from self._away()
                if now >= due:
                    found, looked = self._look(status), now
                    due = now + (_AGAIN if found else _BETWEEN)
                    if found and (status is None or (found.phase, found.reason) != (status.phase, status.reason)):
                        yield from self._last_lines() if found.final else ()
                        yield found
                        status = found
                        if found.final:
                            return
                if now >= end:
                    raise TransientError(
                        f"{run_of(self._workload)} did not finish within {self._timeout:g} s; it continues. Watch "
                        "longer with --timeout, or without --timeout to the end."
                    )

    def _next(self, until: float) -> Line | Notice | str | None:
        """Return what comes next; None if nothing has by then."""
        try:
            came = self._came.get(timeout=min(max(until - time.monotonic(), 0), _AGAIN))
        except queue.Empty:
            return None
        if isinstance(came, Exception):
            raise came
        self._reading -= came == _ENDED
        return came

    def _look(self, before: Status | None) -> Status | None:
        """Read what is so; None while the API server does not say."""
        held = self._following.now("workload")
        if not held:
            raise NotFoundError(
                f"{run_of(self._workload)} is gone: its object was deleted. Submit its job file again to continue "
                "from the checkpoint."
            )
        try:
            now = datetime.now(UTC)
            running = before is not None and before.phase is Phase.RUNNING
            seen = find.gather(self._cluster, held[0], now=now, whole=not running)
            if running and observe(seen).phase is not Phase.RUNNING:
                seen = find.gather(self._cluster, held[0], now=now)
        except TransientError:
            return None  # when it has been away for too long, the following says so
        status = observe(seen)
        if before or not status.final:
            self._begin(seen.pods)
        return status

    def _begin(self, pods: Sequence[Object]) -> None:
        """Read the leader's log, if it has a new pod."""
        newest = pod_logs.by_rank(pods, self._engine).get(0)
        if newest and (uid := text(newest[0], "metadata", "uid")) not in self._read:
            self._read.add(uid)
            self._reading += 1
            threading.Thread(target=self._listen, args=(newest[0],), name="log", daemon=True).start()

    def _last_lines(self) -> Iterator[Line | Notice]:
        until = time.monotonic() + _LAST
        while self._reading and time.monotonic() < until:
            came = self._next(until)
            if isinstance(came, (Line, Notice)):
                yield came

    def _when_to_say_away(self) -> float:
        since = self._following.away_since
        return math.inf if since is None or self._away_is_said else since + _GRACE

    def _away(self) -> Iterator[Notice]:
        if self._away_is_said and self._following.away_since is None:
            self._away_is_said = False
            yield Notice("The API server responds again.")
        elif self._when_to_say_away() <= time.monotonic():
            self._away_is_said = True
            yield Notice(
                "The API server does not respond. The run continues; watching continues when the server is back."
            )

    def _hear(self) -> None:
        try:
            while True:
                self._following.wait()
                self._came.put(_CHANGED)
        except Exception as error:  # noqa: BLE001  # `seen` raises it
            self._came.put(error)

    def _listen(self, pod: Object) -> None:
        try:
            since = self._catch_up(pod)
            for written in pod_logs.follow(self._cluster, pod, since=since, patience=math.inf):
                self._came.put(read(written))
        except (NotFoundError, SpecError):
            pass  # it went before it could be read
        except AccessError as error:
            self._came.put(Notice(f"The logs of the run cannot be read. {error}"))
        except Exception as error:  # noqa: BLE001  # `seen` raises it
            self._came.put(error)
        self._came.put(_ENDED)

    def _catch_up(self, pod: Object) -> str:
        """Return what its log has until now, in short, and the moment of the last line."""
        try:
            stamped = list(self._cluster.logs(name_of(pod), container=pod_logs.container(pod), since=""))
        except TransientError:
            return ""  # all of it comes when it can be followed
        lines = [read(each.partition(" ")[2]) for each in stamped]
        for number, line in enumerate(lines, start=1):
            # How far it was then is not worth reading, but for the last.
            if number == len(lines) or line.percent is None:
                self._came.put(line)
        return stamped[-1].partition(" ")[0] if stamped else ""


def _collections(cluster: Cluster, workload: Object, pods: str) -> dict[str, Collection]:
    name = name_of(workload)
    found = {
        "workload": Collection(kind=kind_of(workload), fields=f"metadata.name={name}"),
        "pods": Collection(kind=POD, selector=pods),
        "events": Collection(kind=EVENT, fields=f"involvedObject.name={name}", needed=False),
    }
    queues, uid = cluster.served("kueue.x-k8s.io"), text(workload, "metadata", "uid")
    if queues and uid:  # that of a JobSet within is not looked for: it is read again and again while a run waits
        mine = f"kueue.x-k8s.io/job-uid={uid}"
        found["queued"] = Collection(kind=Kind(queues, kueue.KIND), selector=mine, needed=False)
    return found
