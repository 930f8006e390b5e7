"""`placement.engine: auto`: which engine a cluster offers for a job, and why that one.

Kubeflow Trainer and PaddleJob are never chosen: they give a run nothing that a JobSet or a Job does not.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from jobs.diagnosis import kueue
from jobs.engines import ENGINES, engine_of, job
from jobs.jobfile import text as jobtext
from jobs.kube.client import Cluster
from jobs.kube.kinds import Kind
from jobs.kube.objects import Object
from jobs.rendering.render import render
from jobs.runs.find import workloads
from trainer.errors import AccessError, SpecError

_GANGS: Final = ("jobset", "job")
"""For several nodes: Kubernetes says of its Job that it is not made for processes that talk to one another closely."""

_ALONE: Final = ("job", "jobset")
"""For one node, where a JobSet is one more part that can break."""


@dataclass(frozen=True, kw_only=True)
class Offer:
    """What a cluster offers for a job."""

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


def resolve(cluster: Cluster, values: Mapping[str, Any], *, say: Callable[[str], None]) -> Mapping[str, Any]:
    """Return a job file's values with an engine in place of `auto`.

    Args:
        cluster: where the job goes.
        values: the fields of the job file.
        say: prints which engine was chosen, and why.

    Raises:
        SpecError: the job was refused, or nothing there would let it wait in its queue.
    """
    if jobtext.engine_of(values) != "auto":
        return values
    engine, why = engine_for(cluster, values)
    say(f"placement.engine is auto: {engine}, because {why}.")
    return jobtext.with_engine(values, engine)


def engine_for(cluster: Cluster, values: Mapping[str, Any]) -> tuple[str, str]:
    """Return the engine for a job on a cluster, and why it was chosen. Nothing is changed there.

    Args:
        cluster: where.
        values: the fields of the job file.

    Raises:
        SpecError: the job was refused, or nothing there would let it wait in its queue.
    """
    plain = render(jobtext.with_engine(values, job.NAME), namespace=cluster.namespace)
    queue = kueue.name_in(plain.workload) or None
    try:
        held = workloads(cluster, run=plain.run_id)
    except AccessError:  # whoever may not look takes the answer of an empty namespace
        held = []
    if held and (engine := engine_of(held[-1])):
        return engine.NAME, "this run already has an object of that engine"
    queued = {}
    for name in _ALONE:
        if cluster.serves(Kind(ENGINES[name].VERSION, ENGINES[name].KIND)):
            try:
                made = render(jobtext.with_engine(values, name), namespace=cluster.namespace)
            except SpecError:
                continue
            queued[name] = queue is not None and held_back(cluster, made.workload)
    volcano = Kind(ENGINES["volcano"].VERSION, ENGINES["volcano"].KIND)
    offer = Offer(queued=queued, volcano=cluster.serves(volcano))
    return choose(offer, nodes=job.size(plain.workload), queue=queue)


def held_back(cluster: Cluster, workload: Object) -> bool:
    """Check by a dry run whether Kueue suspends an object: only administrators may read its configuration."""
    engine = engine_of(workload)
    return engine is not None and engine.suspended(cluster.apply(workload, dry_run=True))
