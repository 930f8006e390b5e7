"""A status as text and as data: what each line has, and what is left out. Recorded states: commands/test_status.py."""

from datetime import timedelta
from typing import Any

import pytest

from jobs.diagnosis.describe import facts, head, node_reasons, node_row, ready
from jobs.engines.status import NodePhase, NodeStatus, Phase, QueueStatus, Reason, Status
from tests.unit.jobs.states.read import NOW

HOUR = timedelta(hours=1)


def node(rank: int, phase: NodePhase = NodePhase.RUNNING, **more: Any) -> NodeStatus:
    return NodeStatus(rank=rank, phase=phase, **more)


def run(*nodes: NodeStatus, **more: Any) -> Status:
    return Status(**{"run": "a-1", "name": "a-1-2", "engine": "job", "phase": Phase.WAITING, "nodes": nodes} | more)


def test_nodes_that_run_or_are_done_are_ready() -> None:
    assert ready(run(node(0), node(1, NodePhase.SUCCEEDED), node(2, NodePhase.STARTING))) == "2/3"
    assert ready(run()) == "0/0"


def test_what_is_not_known_is_null_and_zero_is_a_code() -> None:
    told = facts(run(), namespace="ml")
    assert [key for key, value in told.items() if value is None] == [
        *("progress", "exitCode", "created", "started", "finished", "queue"),
    ]
    assert facts(run(exit_code=0), namespace="ml")["exitCode"] == 0


@pytest.mark.parametrize(("waited", "seconds"), [(None, None), (timedelta(seconds=90.7), 90)])
def test_a_queue_as_data_has_its_seconds(waited: timedelta | None, seconds: int | None) -> None:
    queue = QueueStatus(name="team", waited=waited, evictions=2)
    assert facts(run(queue=queue), namespace="ml")["queue"] == {
        "name": "team",
        "clusterQueue": None,
        "active": True,
        "admitted": None,
        "waitedSeconds": seconds,
        "evictions": 2,
    }


def test_the_head_has_a_line_for_what_is_known_alone() -> None:
    told = head(run(node(0, restarts=2), exit_code=0, created=NOW - HOUR), namespace="ml", now=NOW)
    assert told.splitlines() == [
        "a-1 is Waiting.",
        "",
        "object      job a-1-2 in namespace ml",
        "created     2026-11-22T23:00:00Z, 60m ago",
        "restarts    2",
        "exit code   0: it is done",
    ]


@pytest.mark.parametrize(
    ("queue", "words"),
    [
        (QueueStatus(name="team"), "team"),
        (QueueStatus(name="team", cluster_queue="gpus", waited=HOUR), "team (ClusterQueue gpus), waiting for 60m"),
        (QueueStatus(name="team", admitted=NOW, waited=HOUR), "team, admitted after 60m"),
        (QueueStatus(name="team", active=False, waited=HOUR), "team, stopped"),
        (QueueStatus(name="team", evictions=1), "team, lost its quota once"),
        (QueueStatus(name="team", evictions=2), "team, lost its quota 2 times"),
    ],
)
def test_a_queue_is_told_in_a_line(queue: QueueStatus, words: str) -> None:
    assert f"\nqueue       {words}" in head(run(queue=queue), namespace="ml", now=NOW)


def test_a_reason_of_nodes_is_told_once_with_their_ranks_unless_the_runs_own_has_it() -> None:
    pulled, full = Reason("the image cannot be pulled", "Mend it."), Reason("the disk is full")
    nodes = [node(rank, reason=full if rank == 1 else pulled) for rank in (0, 1, 2, 3, 5)]
    assert list(node_reasons(run(*nodes))) == [
        "Nodes 0, 2-3, 5: the image cannot be pulled. Mend it.",
        "Node 1: the disk is full.",
    ]
    assert list(node_reasons(run(*nodes, reason=Reason("The disk is full.")))) == [
        "Nodes 0, 2-3, 5: the image cannot be pulled. Mend it."
    ]
    assert not list(node_reasons(run(*nodes, phase=Phase.SUPERSEDED)))


def test_a_node_has_run_until_it_ended_or_until_now() -> None:
    assert node_row(node(0, started=NOW - HOUR), now=NOW)["ran"] == "60m"
    ended = node(0, started=NOW - HOUR, finished=NOW - HOUR / 2)
    assert node_row(ended, now=NOW)["ran"] == "30m"
    assert node_row(node(0), now=NOW)["ran"] is None
