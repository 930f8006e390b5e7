"""Objects in, status out: from an engine's object, its queue and its pods."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Final

from jobs.diagnosis import kueue
from jobs.diagnosis.exit_codes import meaning
from jobs.diagnosis.nodes import fill, nodes
from jobs.engines import Engine, engine_of
from jobs.engines.state import State
from jobs.engines.status import (
    NO_REASON,
    NodePhase,
    NodeStatus,
    Observed,
    Phase,
    QueueStatus,
    Reason,
    Status,
)
from jobs.kube.fields import moment, name_of, one_line, run_of, text
from trainer.contract import ExitCode


def observe(observed: Observed) -> Status:
    """Return the status of a run. Objects may have any shape; missing or invalid fields are left out."""
    workload = observed.workload
    engine = engine_of(workload)
    if engine is None:
        what = one_line(f"{text(workload, 'kind')} of {text(workload, 'apiVersion')}")
        reason = Reason(f"A {what} belongs to no engine that this version of ocrfleet knows.")
        return Status(run=run_of(workload), name=name_of(workload), engine="", phase=Phase.UNKNOWN, reason=reason)
    told = engine.state(observed)
    found = nodes(observed, size=engine.size(workload), rank_label=engine.RANK_LABEL)
    phase, reason, code = _stand(observed, engine, told, found)
    begun = [node.started for node in found if node.started]
    return Status(
        run=run_of(workload),
        name=name_of(workload),
        engine=engine.NAME,
        phase=phase,
        reason=fill(reason, {"run": run_of(workload)}),
        nodes=found,
        exit_code=code,
        created=moment(workload, "metadata", "creationTimestamp"),
        started=told.started or min(begun, default=None),
        finished=told.finished,
        queue=_queue(observed),
    )


_Stand = tuple[Phase, Reason, int | None]


def _stand(observed: Observed, engine: Engine, told: State, found: Sequence[NodeStatus]) -> _Stand:
    if told.phase is Phase.SUCCEEDED:
        return Phase.SUCCEEDED, told.reason, int(ExitCode.DONE)
    if told.phase is Phase.FAILED:
        return _failed(told, found)
    if text(observed.workload, "metadata", "deletionTimestamp"):
        return Phase.STOPPING, Reason("It is being deleted. Its pods write a checkpoint first."), None
    if engine.suspended(observed.workload):
        return *_at_rest(observed, found), None
    # Suspended is still true for a moment after the object was told to go on.
    if told.phase in (None, Phase.STOPPED):
        return *_alive(observed, told, found), None
    return told.phase, told.reason, None


def _queue(observed: Observed) -> QueueStatus | None:
    name = kueue.name_in(observed.workload)
    if name or observed.queued is not None:
        return kueue.status(name, observed)
    volcano = text(observed.workload, "spec", "queue")
    return QueueStatus(name=volcano) if volcano else None


# -- over --------------------------------------------------------------------------------------------------------------

_PASSING: Final = (ExitCode.TRANSIENT, ExitCode.STOPPED)
"""Codes of nodes that failed because of another node, or were stopped."""


def _failed(told: State, found: Sequence[NodeStatus]) -> _Stand:
    culprit = _culprit(told.exit_code, found)
    code = told.exit_code or (culprit.exit_code if culprit else None) or None
    if code == ExitCode.SUPERSEDED:
        newer = meaning(code)
        return Phase.SUPERSEDED, Reason(f"{newer.text[0].upper()}{newer.text[1:]}.", newer.advice), int(code)
    if told.decisive:
        return Phase.FAILED, told.reason, None
    if culprit and culprit.reason.text:
        return Phase.FAILED, _sentence([replace(culprit, phase=NodePhase.FAILED)]), code
    if code is None:
        return Phase.FAILED, told.reason, None
    known = meaning(code)
    return Phase.FAILED, Reason(f"It failed: {known.text} (exit code {code}).", known.advice), code


def _culprit(code: int | None, found: Sequence[NodeStatus]) -> NodeStatus | None:
    """Return the node that ended the run: the one with this code, else the first that failed by itself."""
    ended = [node for node in found if node.exit_code or node.phase is NodePhase.FAILED]
    ended.sort(key=lambda node: node.finished or _NEVER)
    if code is not None:
        return next((node for node in ended if node.exit_code == code), None)
    return next((node for node in ended if node.exit_code not in _PASSING), ended[0] if ended else None)


_NEVER: Final = datetime.max.replace(tzinfo=UTC)


# -- told to have no pods ----------------------------------------------------------------------------------------------

_LIVE: Final = (NodePhase.PENDING, NodePhase.STARTING, NodePhase.RUNNING, NodePhase.STOPPING, NodePhase.LOST)


def _at_rest(observed: Observed, found: Sequence[NodeStatus]) -> tuple[Phase, Reason]:
    live = any(node.phase in _LIVE for node in found)
    if not kueue.name_in(observed.workload) and observed.queued is None:
        rest = Reason("It is stopped.", "`ocrfleet resume {run}` continues from its checkpoint.")
        return (Phase.STOPPING, _ENDING) if live else (Phase.STOPPED, rest)
    if observed.queued is not None and not kueue.active(observed.queued):
        return (Phase.STOPPING, _ENDING) if live else (Phase.STOPPED, kueue.why_stopped(observed))
    return Phase.STOPPING if live else Phase.QUEUED, kueue.why_waiting(observed)


_ENDING: Final = Reason("It is stopping. Its pods write a checkpoint first.")


# -- alive -------------------------------------------------------------------------------------------------------------


def _alive(observed: Observed, told: State, found: Sequence[NodeStatus]) -> tuple[Phase, Reason]:
    absent = [node for node in found if node.phase not in (NodePhase.RUNNING, NodePhase.SUCCEEDED)]
    if found and not absent:
        return Phase.RUNNING, NO_REASON
    if not absent:
        return Phase.WAITING, told.reason if told.reason.text else Reason("Its controller has not created a pod yet.")
    first = min(absent, key=lambda node: (not node.reason.text, _ORDER.index(node.phase), node.rank))
    alike = [node for node in absent if (node.phase, node.reason.text) == (first.phase, first.reason.text)]
    if not first.reason.text and told.reason.text:
        return Phase.WAITING, told.reason
    if first.phase is NodePhase.MISSING and not first.reason.text and _late(observed):
        kind = text(observed.workload, "kind").lower()
        return Phase.WAITING, Reason(
            _sentence(alike).text, f"See `kubectl describe {kind} {name_of(observed.workload)}`."
        )
    if first.phase is NodePhase.FAILED and first.exit_code is not None and meaning(first.exit_code).retry:
        return Phase.WAITING, Reason(_sentence(alike).text, "A new pod replaces it and continues from the checkpoint.")
    return Phase.WAITING, _sentence(alike)


_ORDER: Final = (
    NodePhase.MISSING,
    NodePhase.PENDING,
    NodePhase.STARTING,
    NodePhase.LOST,
    NodePhase.FAILED,
    NodePhase.UNKNOWN,
    NodePhase.STOPPING,
    NodePhase.RUNNING,
    NodePhase.SUCCEEDED,
)
"""Whose reason becomes the reason of the run: problems that a person must fix come first."""

_PATIENCE: Final = timedelta(seconds=30)
"""How long a controller may take to make its first pods: a loaded one needs seconds."""


def _late(observed: Observed) -> bool:
    made = moment(observed.workload, "metadata", "creationTimestamp")
    return made is not None and observed.now - made > _PATIENCE


_VERBS: Final[dict[NodePhase, tuple[str, str]]] = {
    NodePhase.MISSING: ("has no pod", "have no pod"),
    NodePhase.PENDING: ("is not scheduled", "are not scheduled"),
    NodePhase.STARTING: ("is starting", "are starting"),
    NodePhase.LOST: ("is lost", "are lost"),
    NodePhase.FAILED: ("failed", "failed"),
    NodePhase.UNKNOWN: ("is in an unknown state", "are in an unknown state"),
    NodePhase.STOPPING: ("is ending", "are ending"),
    NodePhase.RUNNING: ("runs", "run"),
    NodePhase.SUCCEEDED: ("is done", "are done"),
}


def _sentence(alike: Sequence[NodeStatus]) -> Reason:
    """Return one sentence about nodes in the same state."""
    ranks = [str(node.rank) for node in alike]
    several = len(ranks) > 1
    if len(ranks) > _NAMED:
        ranks = [*ranks[: _NAMED - 1], f"{len(ranks) - _NAMED + 1} more"]
    who = f"Nodes {', '.join(ranks[:-1])} and {ranks[-1]}" if several else f"Node {ranks[0]}"
    reason = alike[0].reason
    verb = _VERBS[alike[0].phase][several]
    if reason.text and alike[0].phase is NodePhase.STARTING:
        verb = "cannot start"
    return Reason(f"{who} {verb}: {reason.text}." if reason.text else f"{who} {verb}.", reason.advice)


_NAMED: Final = 4
"""The most nodes that a sentence names; the others are counted."""
