"""`placement.engine: auto`: which engine a cluster offers for a job, and why that one.

Kubeflow Trainer and PaddleJob are never chosen: they give a run nothing that a JobSet or a Job does not.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from jobs.diagnosis import kueue
from jobs.engines import ENGINES, engine_of, job, volcano
from jobs.jobfile.text import with_engine
from jobs.kube.client import Cluster
from jobs.kube.kinds import Kind, kind_of
from jobs.rendering.render import Rendered, render
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


def render_auto(cluster: Cluster, values: Mapping[str, Any]) -> tuple[Rendered, str]:
    """Render a job for the engine that a cluster offers. Nothing is changed there.

    Args:
        cluster: where.
        values: the fields of a job file with `placement.engine: auto`.

    Returns:
        The job's objects, and the engine with the reason: `job, because the job has one node`.

    Raises:
        SpecError: the job was refused, or nothing there would let it wait in its queue.
    """
    made = {}
    for name in _ALONE:
        try:
            made[name] = render(with_engine(values, name), namespace=cluster.namespace)
        except SpecError:  # a JobSet's names are longer
            if name == job.NAME:
                raise
    plain = made[job.NAME]
    try:
        held = workloads(cluster, run=plain.run_id)
    except AccessError:  # whoever may not look takes the answer of an empty namespace
        held = []
    if held and (engine := engine_of(held[-1])):
        name, why = engine.NAME, "this run already has an object of that engine"
    else:
        queue = kueue.name_in(plain.workload) or None
        offer = Offer(
            queued={
                # By a dry run: only administrators may read Kueue's configuration.
                name: queue is not None and ENGINES[name].suspended(cluster.apply(each.workload, dry_run=True))
                for name, each in made.items()
                if cluster.serves(kind_of(each.workload))
            },
            volcano=cluster.serves(Kind(volcano.VERSION, volcano.KIND)),
        )
        name, why = choose(offer, nodes=job.size(plain.workload), queue=queue)
    rendered = made.get(name) or render(with_engine(values, name), namespace=cluster.namespace)
    return rendered, f"{name}, because {why}"
