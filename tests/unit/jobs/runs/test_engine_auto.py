"""`placement.engine: auto`: which engine is chosen, and why."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from jobs.diagnosis.kueue import QUEUE_LABEL
from jobs.runs.engine_auto import Offer, choose
from tests.objects import Object
from tests.unit.jobs.apiserver import ApiServer
from tests.unit.jobs.submitted import job
from trainer.errors import SpecError

__all__ = ["job"]

Ocrfleet = Callable[..., Any]


ONE_NODE = "the job has one node"
NO_JOBSET = "JobSet is not installed, or the name is too long for it"
SEVERAL_NODES = "JobSet is installed, and the job has several nodes"
KUEUE = "Kueue queues its objects in the queue q"


@pytest.mark.parametrize(
    ("offer", "nodes", "queue", "engine", "why"),
    [
        (Offer(queued={"job": False}), 1, None, "job", ONE_NODE),
        (Offer(queued={"job": False}), 2, None, "job", NO_JOBSET),
        (Offer(queued={"job": False, "jobset": False}), 1, None, "job", ONE_NODE),
        (Offer(queued={"job": False, "jobset": False}), 2, None, "jobset", SEVERAL_NODES),
        (Offer(queued={"job": True, "jobset": True}), 2, "q", "jobset", KUEUE),
        (Offer(queued={"job": True, "jobset": False}), 2, "q", "job", KUEUE),
        (Offer(queued={"job": False, "jobset": True}), 1, "q", "jobset", KUEUE),
        (
            Offer(queued={"job": False, "jobset": False}, volcano=True),
            2,
            "q",
            "volcano",
            "placement.queue is q, and only Volcano has queues here",
        ),
        (Offer(queued={"job": True}, volcano=True), 2, "q", "job", KUEUE),
        (Offer(queued={"job": False}, volcano=True), 2, None, "job", NO_JOBSET),
    ],
)
def test_which_engine_is_chosen_and_why(offer: Offer, nodes: int, queue: str | None, engine: str, why: str) -> None:
    assert choose(offer, nodes=nodes, queue=queue) == (engine, why)


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


def suspend(found: Object) -> None:
    """Hold a workload that names a queue, as Kueue's webhooks do with the kinds that it manages."""
    if QUEUE_LABEL in found["metadata"].get("labels", {}):
        found["spec"]["suspend"] = True


def test_kueue_is_recognised_by_a_dry_run_that_leaves_nothing(api: ApiServer, ocrfleet: Ocrfleet, job: Path) -> None:
    """A user may not read Kueue's configuration, which says what kinds it manages in which namespaces."""
    api.kinds["jobset.x-k8s.io/v1alpha2"] = ["JobSet"]
    api.webhooks.append(suspend)
    ran = ocrfleet("submit", job, "--set", "placement.engine=auto", "--set", "placement.queue=q")
    assert "placement.engine is auto: job, because Kueue queues its objects in the queue q" in ran.err
    assert [path.split("/")[-2] for path in api.objects if "/job" in path] == ["jobs"]


def test_a_queue_without_kueue_is_refused(api: ApiServer, ocrfleet: Ocrfleet, job: Path) -> None:
    ran = ocrfleet("submit", job, "--set", "placement.engine=auto", "--set", "placement.queue=q")
    assert (ran.code, ran.out) == (40, "")
    assert "placement.queue is 'q', but nothing manages queues in this namespace." in ran.err
    assert api.objects == {}
