"""`placement.engine: auto`: which engine is chosen, and why."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from jobs.runs.engine_auto import Offer, choose
from tests.unit.jobs.apiserver import ApiServer
from tests.unit.jobs.submitted import job
from trainer.errors import SpecError

__all__ = ["job"]

Ocrfleet = Callable[..., Any]


@pytest.mark.parametrize(
    ("offer", "nodes", "queue", "engine"),
    [
        (Offer(queued={"job": False}), 1, None, "job"),
        (Offer(queued={"job": False}), 2, None, "job"),
        (Offer(queued={"job": False, "jobset": False}), 1, None, "job"),
        (Offer(queued={"job": False, "jobset": False}), 2, None, "jobset"),
        (Offer(queued={"job": True, "jobset": True}), 2, "q", "jobset"),
        (Offer(queued={"job": True, "jobset": False}), 2, "q", "job"),
        (Offer(queued={"job": False, "jobset": True}), 1, "q", "jobset"),
        (Offer(queued={"job": False, "jobset": False}, volcano=True), 2, "q", "volcano"),
        (Offer(queued={"job": True}, volcano=True), 2, "q", "job"),
        (Offer(queued={"job": False}, volcano=True), 2, None, "job"),
    ],
)
def test_which_engine_is_chosen(offer: Offer, nodes: int, queue: str | None, engine: str) -> None:
    chosen, why = choose(offer, nodes=nodes, queue=queue)
    assert chosen == engine
    assert why


def test_a_queue_that_nobody_serves_is_refused() -> None:
    with pytest.raises(SpecError, match="nothing manages queues"):
        choose(Offer(queued={"job": False}), nodes=1, queue="q")


def test_auto_takes_the_jobset_that_is_there_and_stays_with_it(api: ApiServer, ocrfleet: Ocrfleet, job: Path) -> None:
    words = ("submit", job, "--set", "placement.engine=auto", "--set", "placement.nodes=2")
    api.kinds["jobset.x-k8s.io/v1alpha2"] = ["JobSet"]
    first = ocrfleet(*words)
    assert "placement.engine is auto: jobset, because JobSet is installed" in first.err
    again = ocrfleet(*words)
    assert "Nothing changed." in again.err
    assert first.out == again.out


def test_a_run_that_is_a_job_stays_one_when_jobset_comes(api: ApiServer, ocrfleet: Ocrfleet, job: Path) -> None:
    words = ("submit", job, "--set", "placement.engine=auto", "--set", "placement.nodes=2")
    assert "placement.engine is auto: job," in ocrfleet(*words).err
    api.kinds["jobset.x-k8s.io/v1alpha2"] = ["JobSet"]
    again = ocrfleet(*words)
    assert "already has an object" in again.err
    assert "Nothing changed." in again.err
