"""A status as data with stable names for programs, and as text for people."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from jobs.diagnosis.exit_codes import meaning
from jobs.engines.status import NodePhase, NodeStatus, Phase, QueueStatus, Reason, Status
from jobs.kube.times import span, stamp
from trainer.telemetry.lines import Line


def facts(status: Status, *, namespace: str, progress: Line | None = None) -> dict[str, Any]:
    """Return a status as data; unknown values are null.

    Args:
        status: of a run.
        namespace: where the run is.
        progress: the newest line of its leader.
    """
    return {
        "run": status.run,
        "object": status.name,
        "namespace": namespace,
        "engine": status.engine,
        "phase": str(status.phase),
        "final": status.final,
        "reason": status.reason.text,
        "advice": status.reason.advice,
        "progress": _progress(progress) if progress else None,
        "exitCode": status.exit_code,
        "restarts": status.restarts,
        "created": stamp(status.created),
        "started": stamp(status.started),
        "finished": stamp(status.finished),
        "queue": _queue(status.queue) if status.queue else None,
        "nodes": [_node(each) for each in status.nodes],
    }


def _progress(line: Line) -> dict[str, Any]:
    return {"stage": line.stage, "percent": line.percent, "message": line.message}


def _queue(queue: QueueStatus) -> dict[str, Any]:
    return {
        "name": queue.name,
        "clusterQueue": queue.cluster_queue,
        "active": queue.active,
        "admitted": stamp(queue.admitted),
        "waitedSeconds": None if queue.waited is None else int(queue.waited.total_seconds()),
        "evictions": queue.evictions,
    }


def _node(node: NodeStatus) -> dict[str, Any]:
    return {
        "rank": node.rank,
        "phase": str(node.phase),
        "reason": node.reason.text,
        "advice": node.reason.advice,
        "pod": node.pod,
        "machine": node.machine,
        "restarts": node.restarts,
        "exitCode": node.exit_code,
        "started": stamp(node.started),
        "finished": stamp(node.finished),
    }


def ready(status: Status) -> str:
    """Return how many nodes run or are done, out of how many."""
    at_work = sum(node.phase in (NodePhase.RUNNING, NodePhase.SUCCEEDED) for node in status.nodes)
    return f"{at_work}/{len(status.nodes)}"


def head(status: Status, *, namespace: str, now: datetime, progress: Line | None = None) -> str:
    """Return the status of a run and the next step as text.

    Args:
        status: of the run.
        namespace: where the run is.
        now: the current time.
        progress: the newest line of its leader.
    """
    parts = {
        "progress": str(progress) if progress else "",
        "object": f"{status.engine or 'unknown'} {status.name} in namespace {namespace}",
        "queue": _queue_line(status.queue) if status.queue else "",
        "created": _time(status.created, now),
        "started": _time(status.started, now),
        "finished": _time(status.finished, now),
        "restarts": str(status.restarts) if status.restarts else "",
        "exit code": "" if status.exit_code is None else f"{status.exit_code}: {meaning(status.exit_code).text}",
    }
    lines = [f"{status.run} is {status.phase}.", *filter(None, (status.reason.text, status.reason.advice)), ""]
    return "\n".join([*lines, *(f"{name:<12}{words}" for name, words in parts.items() if words)])


def _time(moment: datetime | None, now: datetime) -> str:
    return f"{stamp(moment)}, {span(now - moment)} ago" if moment else ""


def _queue_line(queue: QueueStatus) -> str:
    words = [f"{queue.name} (ClusterQueue {queue.cluster_queue})" if queue.cluster_queue else queue.name]
    if not queue.active:
        words.append("stopped")
    elif queue.waited is not None:
        words.append(f"{'admitted after' if queue.admitted else 'waiting for'} {span(queue.waited)}")
    if queue.evictions:
        words.append(f"lost its quota {'once' if queue.evictions == 1 else f'{queue.evictions} times'}")
    return ", ".join(words)


def node_reasons(status: Status) -> Iterator[str]:
    """Return a sentence for each reason of a node that the run's own reason does not contain."""
    alike: dict[Reason, list[int]] = {}
    for node in status.nodes if status.phase is not Phase.SUPERSEDED else ():
        if node.reason.text and node.reason.text.lower() not in status.reason.text.lower():
            alike.setdefault(node.reason, []).append(node.rank)
    for reason, ranks in alike.items():
        who = "Nodes" if len(ranks) > 1 else "Node"
        yield f"{who} {_ranges(ranks)}: {reason.text}. {reason.advice}".rstrip()


def _ranges(ranks: list[int]) -> str:
    """Write ranks in ascending order: `0, 2-5`."""
    runs: list[list[int]] = []
    for rank in ranks:
        if runs and rank == runs[-1][-1] + 1:
            runs[-1] = [runs[-1][0], rank]
        else:
            runs.append([rank])
    return ", ".join("-".join(map(str, run)) for run in runs)


def node_row(node: NodeStatus, *, now: datetime) -> Mapping[str, Any]:
    """Return a node as a row of a table."""
    return {
        "rank": node.rank,
        "phase": node.phase,
        "machine": node.machine,
        "pod": node.pod,
        "restarts": node.restarts,
        "exit": node.exit_code,
        "ran": span((node.finished or now) - node.started) if node.started else None,
    }
