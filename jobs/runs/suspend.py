"""Stop a run and let it go on: which change does it, by what is so. Pure."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from jobs.diagnosis import kueue
from jobs.diagnosis.observe import observe
from jobs.engines import Engine, engine_of
from jobs.engines.status import Observed, Phase, Status
from jobs.kube.changes import Change
from jobs.kube.fields import run_of, text
from jobs.kube.objects import Object
from trainer.errors import SpecError, TransientError


@dataclass(frozen=True, kw_only=True)
class Decision:
    """What is to be done about a run, and what the user is told."""

    change: Change | None
    """None: it is so already."""

    sentence: str
    """What is so then, and what comes next."""


def stop(observed: Observed, *, queues: bool) -> Decision:
    """Decide how a run is stopped; it keeps its object and its checkpoint.

    Args:
        observed: what is so with it.
        queues: whether the cluster has Kueue, which then decides over all that has a queue's name.

    Raises:
        TransientError: its queue does not know it yet.
        SpecError: no engine knows its object.
    """
    run, status = run_of(observed.workload), observe(observed)
    engine = _engine(observed)
    if status.final:
        return Decision(change=None, sentence=f"{run} is over ({status.phase}): there is nothing to stop.")
    if _rests(observed, engine, queues=queues):
        return Decision(change=None, sentence=f"{run} is told to stop already. `ocrfleet resume {run}` lets it go on.")
    change = _change(observed, queued=kueue.pause, engine=engine.pause, queues=queues)
    quota = "gives its quota back and " if observed.queued is not None else ""
    first = (
        "each of its pods writes a checkpoint and ends"
        if any(node.pod for node in status.nodes)
        else "it starts no pod"
    )
    sentence = f"{run} {quota}stops: {first}. `ocrfleet resume {run}` goes on from the checkpoint."
    return Decision(change=change, sentence=sentence)


def resume(observed: Observed, *, queues: bool) -> Decision:
    """Decide how a stopped run goes on.

    Args:
        observed: what is so with it.
        queues: whether the cluster has Kueue.

    Raises:
        SpecError: it is over, and needs another object.
        TransientError: its queue does not know it yet.
    """
    run, status = run_of(observed.workload), observe(observed)
    engine = _engine(observed)
    if status.phase is Phase.SUCCEEDED:
        return Decision(change=None, sentence=f"{run} is over: its model is published, and there is nothing to resume.")
    if status.final:
        raise SpecError(
            f"{run} is over ({status.phase}), and its object makes no more pods: submit its job file again with "
            "placement.retry one higher; it goes on from its checkpoint."
        )
    if not _rests(observed, engine, queues=queues):
        return Decision(change=None, sentence=f"{run} is not stopped: it is {status.phase}. {status.reason}".strip())
    change = _change(observed, queued=kueue.resume, engine=engine.resume, queues=queues)
    if observed.queued is not None:
        next_step = f"is back in its queue. `ocrfleet watch {run}` says what it waits for."
    else:
        next_step = f"goes on from its checkpoint. `ocrfleet watch {run}` shows how."
    return Decision(change=change, sentence=f"{run} {next_step}")


def at_rest(status: Status | None, pods: Sequence[Object]) -> bool:
    """Tell whether none of its pods runs any more, or has still to let go of its volumes."""
    if status is None or status.final:
        return True
    return status.phase is Phase.STOPPED and not any(text(pod, "metadata", "deletionTimestamp") for pod in pods)


def let_go(status: Status | None, _: Sequence[Object]) -> bool:
    """Tell whether its pods may be made: it has its quota, where it needs some."""
    return status is None or status.phase not in (Phase.QUEUED, Phase.STOPPED, Phase.STOPPING)


def _engine(observed: Observed) -> Engine:
    engine = engine_of(observed.workload)
    if engine is None:
        raise SpecError(observe(observed).reason.text)
    return engine


def _rests(observed: Observed, engine: Engine, *, queues: bool) -> bool:
    """Tell whether it is stopped by a user; that Kueue holds it is no such thing."""
    if observed.queued is not None:
        return not kueue.active(observed.queued)
    return engine.suspended(observed.workload) and not (queues and kueue.name_in(observed.workload))


def _change(
    observed: Observed, *, queued: Callable[[Object], Change], engine: Callable[[Object], Change], queues: bool
) -> Change:
    if observed.queued is not None:
        return queued(observed.queued)
    queue = kueue.name_in(observed.workload)
    if queues and queue:
        raise TransientError(
            f"The queue {queue} has no Workload of {run_of(observed.workload)} yet, or you may not read it "
            "(`kubectl get workloads`): without it a run in a queue can be neither stopped nor resumed. Try again."
        )
    return engine(observed.workload)
