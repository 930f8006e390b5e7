"""Stop and resume a run: choose the change by the run's status. Pure."""

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
    """What to do with a run, and what to tell the user."""

    change: Change | None
    """None: nothing to do."""

    sentence: str
    """The new status and the next step."""


def stop(observed: Observed, *, queues: bool) -> Decision:
    """Decide how to stop a run; it keeps its object and its checkpoint.

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
        return Decision(change=None, sentence=f"{run} has finished ({status.phase}): there is nothing to stop.")
    if _rests(observed, engine, queues=queues):
        return Decision(
            change=None, sentence=f"{run} is already stopped or stopping. `ocrfleet resume {run}` continues it."
        )
    change = _change(observed, queued=kueue.pause, engine=engine.pause, queues=queues)
    quota = "gives its quota back and " if observed.queued is not None else ""
    first = "its pods write a checkpoint and end" if any(node.pod for node in status.nodes) else "it starts no pods"
    sentence = f"{run} {quota}stops: {first}. `ocrfleet resume {run}` continues from the checkpoint."
    return Decision(change=change, sentence=sentence)


def resume(observed: Observed, *, queues: bool) -> Decision:
    """Decide how to resume a stopped run.

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
        return Decision(
            change=None, sentence=f"{run} has finished and its model is published: there is nothing to resume."
        )
    if status.final:
        raise SpecError(
            f"{run} has finished ({status.phase}) and cannot be resumed. Submit its job file again with "
            "placement.retry increased by one; it continues from its checkpoint."
        )
    if not _rests(observed, engine, queues=queues):
        return Decision(change=None, sentence=f"{run} is not stopped: it is {status.phase}. {status.reason}".strip())
    change = _change(observed, queued=kueue.resume, engine=engine.resume, queues=queues)
    if observed.queued is not None:
        next_step = f"is back in its queue. `ocrfleet watch {run}` shows what it waits for."
    else:
        next_step = f"continues from its checkpoint. `ocrfleet watch {run}` follows it."
    return Decision(change=change, sentence=f"{run} {next_step}")


def at_rest(status: Status | None, pods: Sequence[Object]) -> bool:
    """Check that no pod runs any more or still holds volumes."""
    if status is None or status.final:
        return True
    return status.phase is Phase.STOPPED and not any(text(pod, "metadata", "deletionTimestamp") for pod in pods)


def let_go(status: Status | None, _: Sequence[Object]) -> bool:
    """Check that pods can be created: the run has its quota, if it needs any."""
    return status is None or status.phase not in (Phase.QUEUED, Phase.STOPPED, Phase.STOPPING)


def _engine(observed: Observed) -> Engine:
    engine = engine_of(observed.workload)
    if engine is None:
        raise SpecError(observe(observed).reason.text)
    return engine


def _rests(observed: Observed, engine: Engine, *, queues: bool) -> bool:
    """Check whether a user stopped the run. Being held by Kueue does not count."""
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
            f"The queue {queue} has no Workload for {run_of(observed.workload)} yet, or you may not read it (`kubectl "
            "get workloads`). A queued run cannot be stopped or resumed without it. Try again."
        )
    return engine(observed.workload)
