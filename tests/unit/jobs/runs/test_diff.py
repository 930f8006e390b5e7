"""`diff` says what submitting would come to, and ends as `kubectl diff` does."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.unit.jobs.apiserver import ApiServer
from tests.unit.jobs.submitted import job

Ocrfleet = Callable[..., Any]


__all__ = ["job"]


def test_what_was_submitted_does_not_differ(api: ApiServer, ocrfleet: Ocrfleet, job: Path) -> None:
    run = ocrfleet("submit", job).out.strip()
    api.asked.clear()
    for words in ((), (run,)):
        ran = ocrfleet("diff", job, *words)
        assert ran.code == 0
        assert ran.out.startswith(f"No difference: {run}-")
    assert {verb for verb, *_ in api.asked} == {"GET"}


@pytest.mark.parametrize(
    ("sets", "same_run", "said"),
    [
        (["run.train.seed=1"], False, "run.train.seed: 42 -> 1"),
        (["placement.image=t:2.0"], False, "placement.image: "),
        (["placement.nodes=2"], False, "placement.nodes: 1 -> 2"),
        (["placement.retry=1"], True, "placement.retry: 0 -> 1"),
        (["placement.storage.scratch=3Gi"], True, "emptyDir.sizeLimit: 20Gi -> 3Gi"),
        (["placement.resources.limits.cpu=2"], True, "resources.limits: (none) -> {'cpu': '2'}"),
        (["placement.engine=jobset"], True, "placement.engine: a Job -> a JobSet"),
        (["placement.priority=high"], True, "priorityClassName: (none) -> high"),
    ],
)
def test_each_change_is_named(
    api: ApiServer, ocrfleet: Ocrfleet, job: Path, sets: list[str], same_run: bool, said: str
) -> None:
    run = ocrfleet("submit", job).out.strip()
    ran = ocrfleet("diff", job, *(word for each in sets for word in ("--set", each)))
    assert ran.code == 1
    assert ran.out.startswith(f"A new object {run}-" if same_run else "A new run slips-rec-")
    assert (f"{run} is not changed" in ran.out) == (not same_run)
    assert said in ran.out


def test_a_run_of_this_job_is_compared_before_a_newer_one(api: ApiServer, ocrfleet: Ocrfleet, job: Path) -> None:
    run = ocrfleet("submit", job).out.strip()
    ocrfleet("submit", job, "--set", "run.train.seed=1")
    for each in api.objects.values():
        if each["metadata"]["labels"].get("ocrfleet.io/run", run) != run:
            each["metadata"]["creationTimestamp"] = "2026-02-01T00:00:00Z"
    assert ocrfleet("diff", job, "--set", "placement.retry=1").out.startswith(f"A new object {run}-")
    assert "run.train.seed: 1 -> 2" in ocrfleet("diff", job, "--set", "run.train.seed=2").out
