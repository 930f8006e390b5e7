"""Block until a run reaches a state, for commands with --wait."""

import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from jobs.diagnosis.observe import observe
from jobs.engines import engine_of
from jobs.engines.status import Observed, Status
from jobs.kube.client import Cluster
from jobs.kube.fields import name_of
from jobs.kube.informer import Collection, Following
from jobs.kube.kinds import POD, kind_of
from jobs.kube.objects import Object
from trainer.errors import SpecError, TransientError


def wait(
    cluster: Cluster,
    observed: Observed,
    until: Callable[[Status | None, Sequence[Object]], bool],
    *,
    timeout: float | None = None,
) -> None:
    """Block until a run reaches a state.

    Args:
        cluster: where it is.
        observed: the run, as it was.
        until: takes the status (None once the object is gone) and the pods; returns whether to stop waiting.
        timeout: seconds; None: no limit.

    Raises:
        TransientError: the timeout expired.
    """
    end = None if timeout is None else time.monotonic() + timeout
    with Following(cluster, _collections(observed)) as following:
        while following.wait(None if end is None else end - time.monotonic()):
            if until(_status(following), following.now("pods") or ()):
                return
    raise TransientError(
        f"{name_of(observed.workload)} did not get there within {timeout:g} s; it continues. Wait longer with "
        "--timeout, or see `ocrfleet status`."
    )


def _collections(observed: Observed) -> dict[str, Collection]:
    engine = engine_of(observed.workload)
    if engine is None:
        raise SpecError(observe(observed).reason.text)
    followed = {"workload": _only(observed.workload), "queued": observed.queued and _only(observed.queued)}
    pods = Collection(kind=POD, selector=engine.pod_selector(name_of(observed.workload)))
    return {"pods": pods, **{name: each for name, each in followed.items() if each}}


def _only(found: Object) -> Collection:
    return Collection(kind=kind_of(found), fields=f"metadata.name={name_of(found)}")


def _status(following: Following) -> Status | None:
    workload = following.now("workload")
    if not workload:
        return None
    queued: list[Object] = following.now("queued") or []
    return observe(
        Observed(
            workload=workload[0],
            pods=following.now("pods") or (),
            queued=queued[0] if queued else None,
            now=datetime.now(UTC),
        )
    )
