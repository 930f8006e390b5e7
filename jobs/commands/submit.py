"""`ocrfleet submit`."""

import argparse
import sys
from typing import TYPE_CHECKING, Any

from jobs.commands import options, show, watch
from jobs.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jobs.kube.client import Cluster
    from jobs.kube.objects import Object
    from jobs.rendering.render import Rendered


def add(commands: options.Commands) -> None:
    """Add the command to the parser."""
    parser = options.command(
        commands,
        "submit",
        run=run,
        summary="start a run on a cluster",
        text="Create a job's objects on a cluster, and print the run's id to standard output. The server checks all "
        "objects before the first is created. Submitting the same file again changes nothing. Another placement, "
        "or a higher placement.retry, creates a new object that resumes the same run; another `run` part starts "
        "a new run. Objects that Helm created for the same job are used and not changed. With placement.engine "
        "auto, the cluster decides on the engine.",
        examples="ocrfleet submit job.yaml\n"
        "ocrfleet submit job.yaml -n team-ocr --set run.train.seed=7\n"
        "ocrfleet submit job.yaml --dry-run=server     # what would change\n"
        "ocrfleet submit job.yaml --watch              # exit with the code of the run",
    )
    options.job_file(parser)
    parser.add_argument(
        "--dry-run",
        choices=("client", "server"),
        help="change nothing: only render (client), or also let the server check all objects (default: submit)",
    )
    parser.add_argument(
        "--watch",
        action="store_true",
        help="follow the run to its end, as `ocrfleet watch` does, on standard error, and exit with its code "
        "(default: return at once)",
    )
    options.cluster(parser)


def run(arguments: argparse.Namespace) -> int:
    """Submit a job."""
    if arguments.watch and arguments.dry_run:
        raise UsageError("--watch and --dry-run exclude each other: a dry run starts nothing to watch.")
    from jobs.rendering import helm

    helm.warm()
    raw = options.read_text(arguments)
    from jobs.jobfile import text as jobtext
    from jobs.kube.fields import name_of
    from jobs.kube.kinds import kind_of
    from jobs.rendering.render import render

    auto = jobtext.engine_of(raw) == "auto"
    if arguments.dry_run == "client":
        rendered = render(engine_chosen(raw, options.connect(arguments)) if auto else raw)
        for each in rendered.objects:
            show.say(f"{each['kind']} {name_of(each)}: rendered; not sent to a server")
    else:
        cluster = options.connect(arguments)
        rendered = render(engine_chosen(raw, cluster) if auto else raw, namespace=cluster.namespace)
        _submit(cluster, rendered, dry_run=bool(arguments.dry_run))
    print(rendered.run_id, flush=True)
    if not arguments.watch:
        return 0
    made = rendered.workload
    held = cluster.get(kind_of(made), name_of(made)) or made
    return watch.follow(cluster, held, timeout=arguments.timeout, stream=sys.stderr)


def engine_chosen(values: "Mapping[str, Any]", cluster: "Cluster") -> "Mapping[str, Any]":
    """Return a job file's values with an engine in place of `auto`, and print which and why."""
    from jobs.jobfile.text import with_engine
    from jobs.runs.engine_auto import engine_for

    engine, why = engine_for(cluster, values)
    show.say(f"placement.engine is auto: {engine}, because {why}.")
    return with_engine(values, engine)


def _submit(cluster: "Cluster", rendered: "Rendered", *, dry_run: bool) -> None:
    from jobs.runs import submit
    from trainer.errors import NotFoundError

    try:
        steps = submit.plan(cluster, rendered.objects)
    except NotFoundError as error:
        raise NotFoundError(f"{error} Create it, or choose another with -n.") from error
    if not dry_run:
        submit.do(cluster, steps)
    for step in steps:
        show.say(f"{step.sentence}{' (by a dry run of the server)' if dry_run else ''}")
    if all(step.deed in ("there", "helm") for step in steps):
        show.say(f"Nothing changed. {_standing(steps[-1].body)}")
    for image in _images(rendered.workload):
        if submit.moves(image):
            show.say(
                f"warning: the tag of the image {image} may move to other content, and the run's id would stay the "
                "same: use a version or a digest in placement.image."
            )


def _standing(workload: "Object") -> str:
    """Describe the existing run, and how to start it again."""
    from datetime import UTC, datetime

    from jobs.diagnosis.observe import observe
    from jobs.engines.status import Observed, Phase

    status = observe(Observed(workload=workload, now=datetime.now(UTC)))
    remedies = {
        Phase.FAILED: "To start it again, increase placement.retry by one.",
        Phase.STOPPED: f"`ocrfleet resume {status.run}` continues it.",
    }
    return f"The run is {status.phase.value}. {remedies.get(status.phase, '')}".rstrip()


def _images(found: object) -> "set[str]":
    """Look for the images in depth: each engine keeps its pod template in a place of its own."""
    if isinstance(found, dict):
        own = {found["image"]} if isinstance(found.get("image"), str) else set()
        return own.union(*map(_images, found.values()))
    return set().union(*map(_images, found)) if isinstance(found, list) else set()
