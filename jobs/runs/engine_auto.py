"""`placement.engine: auto`: which engine a cluster offers for a job, and why that one.

Kubeflow Trainer and PaddleJob are never chosen: they give a run nothing that a JobSet or a Job does not.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from jobs.engines import ENGINES, engine_of
from jobs.jobfile.model import TrainingJob
from jobs.kube.client import Cluster
from jobs.kube.fields import run_of
from jobs.kube.kinds import Kind
from jobs.rendering.render import render, with_engine, workload
from jobs.runs.find import workloads
from trainer.errors import AccessError, SpecError

_GANGS: Final = ("jobset", "job")
"""For several nodes: Kubernetes says of its Job that it is not made for processes that talk to one another closely."""

_ALONE: Final = ("job", "jobset")
"""For one node, where a JobSet is one more part that can break."""


@dataclass(frozen=True, kw_only=True)
class Offer:
    """What a cluster offers for a job."""

    holder: str | None = None
    """The engine of the object that has this run already."""

    queued: Mapping[str, bool]
    """Engines whose API is served and that take the job; whether Kueue holds an object with a queue's name back."""

    volcano: bool = False
    """Whether Volcano is there, which has queues of its own."""


def choose(offer: Offer, *, nodes: int, queue: str | None) -> tuple[str, str]:
    """Return an engine, and why it was chosen.

    Args:
        offer: what there is.
        nodes: of the job.
        queue: that it wants to wait in.

    Raises:
        SpecError: nothing there would let it wait in its queue.
    """
    if offer.holder:
        return offer.holder, "this run already has an object of that engine"
    fits = [each for each in (_GANGS if nodes > 1 else _ALONE) if each in offer.queued]
    if queue:
        fits = [each for each in fits if offer.queued[each]]
        if fits:
            return fits[0], f"Kueue queues its objects in the queue {queue}"
        if offer.volcano:
            return "volcano", f"placement.queue is {queue}, and only Volcano has queues here"
        raise SpecError(
            f"placement.queue is {queue!r}, but nothing manages queues in this namespace. Ask an administrator to "
            "install Kueue or to let it manage the namespace, or remove placement.queue."
        )
    if fits[0] == "jobset":
        return "jobset", "JobSet is installed, and the job has several nodes"
    return "job", "the job has one node" if nodes == 1 else "JobSet is not installed, or the name is too long for it"


def ask(cluster: Cluster, job: TrainingJob) -> Offer:
    """Return what a cluster offers for a job. Nothing is changed there."""
    plain = workload(render(with_engine(job, "job"), namespace=cluster.namespace))
    try:
        held = workloads(cluster, run=run_of(plain))
    except AccessError:  # whoever may not look takes the answer of an empty namespace
        held = []
    if held and (engine := engine_of(held[-1])):
        return Offer(holder=engine.NAME, queued={})
    queued = {}
    for name in _ALONE:
        if cluster.serves(Kind(ENGINES[name].VERSION, ENGINES[name].KIND)):
            try:
                there = with_engine(job, name)
            except SpecError:
                continue
            queued[name] = bool(job.placement.queue) and held_back(cluster, there)
    volcano = Kind(ENGINES["volcano"].VERSION, ENGINES["volcano"].KIND)
    return Offer(queued=queued, volcano=cluster.serves(volcano))


def held_back(cluster: Cluster, job: TrainingJob) -> bool:
    """Check by a dry run whether Kueue suspends the job: only administrators may read its configuration."""
    shown = workload(render(job, namespace=cluster.namespace))
    engine = ENGINES[job.placement.engine]
    return engine.suspended(cluster.apply(shown, dry_run=True))
