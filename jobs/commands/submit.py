"""`ocrfleet submit`."""

import argparse
import sys
from typing import TYPE_CHECKING, Any

from jobs.commands import options, show, watch
from jobs.errors import UsageError

if TYPE_CHECKING:
    from jobs.jobfile.model import TrainingJob
    from jobs.kube.client import Cluster
    from jobs.kube.objects import Object


def add(commands: options.Commands) -> None:
    """Say the command's words."""
    parser = options.command(
        commands,
        "submit",
        run=run,
        summary="start a run on a cluster",
        text="Make a job's objects on a cluster, and print the run's id alone. The server checks all of them before "
        "the first is made. The same file again changes nothing; another placement, or placement.retry one higher, is "
        "a new object that resumes the same run; another `run` is a new run. What Helm has made of the same job is "
        "used and left as it is. With placement.engine auto the cluster is asked which engine it offers.",
        examples="ocrfleet submit job.yaml\n"
        "ocrfleet submit job.yaml -n team-ocr --set run.train.seed=7\n"
        "ocrfleet submit job.yaml --dry-run=server     # what would be made or changed\n"
        "ocrfleet submit job.yaml --watch              # and end as the run does",
    )
    options.job_file(parser)
    parser.add_argument(
        "--dry-run",
        choices=("client", "server"),
        help="change nothing: only render (client), or let the server check all objects, too (default: submit)",
    )
    parser.add_argument(
        "--watch",
        action="store_true",
        help="look at the run until it is over, as `ocrfleet watch` does, but on stderr; then the exit code is its own "
        "(default: return at once)",
    )
    options.cluster(parser)


def run(arguments: argparse.Namespace) -> int:
    """Submit a job."""
    if arguments.watch and arguments.dry_run:
        raise UsageError("--watch and --dry-run don't go together: a dry run makes nothing to look at.")
    from jobs.rendering import helm

    helm.warm()
    raw = options.read_text(arguments)
    from jobs.kube.fields import name_of, run_of
    from jobs.kube.kinds import kind_of
    from jobs.rendering.render import render, workload

    if arguments.dry_run == "client":
        objects = render(_with_engine(arguments, raw))
        for each in objects:
            show.say(f"{each['kind']} {name_of(each)}: rendered; no server has seen it")
    else:
        cluster = options.connect(arguments)
        objects = render(_with_engine(arguments, raw, cluster), namespace=cluster.namespace)
        _submit(cluster, objects, dry_run=bool(arguments.dry_run))
    made = workload(objects)
    print(run_of(made), flush=True)
    if not arguments.watch:
        return 0
    held = cluster.get(kind_of(made), name_of(made)) or made
    return watch.follow(cluster, held, timeout=arguments.timeout, stream=sys.stderr)


def _with_engine(
    arguments: argparse.Namespace, raw: "dict[str, Any]", cluster: "Cluster | None" = None
) -> "TrainingJob | dict[str, Any]":
    from jobs.jobfile import text as jobtext

    if jobtext.engine_of(raw) != "auto":
        return raw
    from jobs.jobfile.model import from_raw

    return engine_chosen(arguments, from_raw(raw), cluster)


def engine_chosen(arguments: argparse.Namespace, job: "TrainingJob", cluster: "Cluster | None" = None) -> "TrainingJob":
    """Give the job with an engine in place of `auto`, and say which and why."""
    if job.placement.engine != "auto":
        return job
    from jobs.rendering.render import with_engine
    from jobs.runs import engine_auto

    offer = engine_auto.ask(cluster or options.connect(arguments), job)
    engine, why = engine_auto.choose(offer, nodes=job.placement.nodes, queue=job.placement.queue)
    show.say(f"placement.engine is auto: {engine}, since {why}.")
    return with_engine(job, engine)


def _submit(cluster: "Cluster", objects: "tuple[Object, ...]", *, dry_run: bool) -> None:
    from jobs.rendering.render import workload
    from jobs.runs import submit
    from trainer.errors import NotFoundError

    try:
        steps = submit.plan(cluster, objects)
    except NotFoundError as error:
        raise NotFoundError(f"{error} Make it, or name another with -n.") from error
    if not dry_run:
        submit.do(cluster, steps)
    for step in steps:
        show.say(f"{step.sentence}{' (by a dry run of the server)' if dry_run else ''}")
    if all(step.deed in ("there", "helm") for step in steps):
        show.say(f"Nothing is changed. {_standing(steps[-1].body)}")
    for image in _images(workload(objects)):
        if submit.moves(image):
            show.say(
                f"warning: the image {image} may be another tomorrow, and the run's id would not show it: name a "
                "version or a digest in placement.image."
            )


def _standing(workload: "Object") -> str:
    """Say how the object is that was there, and what would start the run again."""
    from datetime import UTC, datetime

    from jobs.diagnosis.observe import observe
    from jobs.engines.status import Observed, Phase

    status = observe(Observed(workload=workload, now=datetime.now(UTC)))
    remedies = {
        Phase.FAILED: "To start it again, raise placement.retry by one.",
        Phase.STOPPED: f"`ocrfleet resume {status.run}` lets it go on.",
    }
    return f"The run is {status.phase.value}. {remedies.get(status.phase, '')}".rstrip()


def _images(found: object) -> "set[str]":
    """Look for the images in depth: each engine keeps its pod template in a place of its own."""
    if isinstance(found, dict):
        own = {found["image"]} if isinstance(found.get("image"), str) else set()
        return own.union(*map(_images, found.values()))
    return set().union(*map(_images, found)) if isinstance(found, list) else set()
