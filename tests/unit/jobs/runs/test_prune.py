"""Which objects are pruned: pure."""

import pytest

from jobs.engines.status import NodePhase, NodeStatus, Phase, Status
from jobs.kube.fields import name_of
from jobs.runs import prune
from tests.unit.jobs.commands.writes import made
from tests.unit.jobs.states.read import NOW


@pytest.mark.parametrize(
    ("objects", "keep", "gone"),
    [
        ([("job-complete", 1, 1), ("job-exit-41", 2, 2), ("job-complete", 3, 3)], 0, "o1 o2 o3"),
        ([("job-complete", 1, 1), ("job-exit-41", 2, 2), ("job-complete", 3, 3)], 1, "o1 o2"),
        ([("job-complete", 1, 1), ("job-exit-41", 2, 2), ("job-complete", 3, 3)], 3, ""),
        # What is not over neither goes nor takes a place of those that stay.
        ([("job-complete", 1, 1), ("job-running", 2, 2), ("job-suspended", 3, 3), ("kueue-waiting", 4, 4)], 0, "o1"),
        ([("job-complete", 1, 1), ("job-complete", 2, 2), ("job-running", 3, 3)], 1, "o1"),
        # A run of several objects goes as one, by its newest; while one of them is not over, it stays.
        ([("job-exit-46", 1, 1), ("job-complete", 2, 2), ("job-complete", 3, 1)], 1, "o2"),
        ([("job-exit-46", 1, 1), ("job-running", 2, 1)], 0, ""),
        ([("jobset-complete", 1, 1), ("trainjob-complete", 2, 2), ("paddlejob-succeeded", 3, 3)], 1, "o1 o2"),
    ],
)
def test_what_is_pruned(objects: list[tuple[str, int, int]], keep: int, gone: str) -> None:
    found = [made(*each) for each in objects]
    for order in (found, found[::-1]):
        assert [name_of(each) for each in prune.prunable(order, keep=keep, now=NOW)] == gone.split()


STARTED = NodeStatus(rank=0, phase=NodePhase.RUNNING, pod="a", started=NOW)
ENDED = NodeStatus(rank=0, phase=NodePhase.FAILED, pod="a", started=NOW, finished=NOW)
NOT_STARTED = NodeStatus(rank=0, phase=NodePhase.PENDING, pod="a")


@pytest.mark.parametrize(
    ("phase", "node", "trains"),
    [
        (Phase.RUNNING, STARTED, True),
        (Phase.WAITING, STARTED, True),
        (Phase.UNKNOWN, STARTED, True),
        (Phase.WAITING, ENDED, False),
        (Phase.WAITING, NOT_STARTED, False),
        # It was told to end, or has ended.
        (Phase.STOPPING, STARTED, False),
        (Phase.FAILED, STARTED, False),
    ],
)
def test_a_run_trains_while_a_node_runs_that_nobody_told_to_end(phase: Phase, node: NodeStatus, trains: bool) -> None:
    assert prune.trains(Status(run="a-1", name="a", engine="job", phase=phase, nodes=(node,))) == trains
