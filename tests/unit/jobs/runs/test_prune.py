"""Which objects are pruned: pure."""

import pytest

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
