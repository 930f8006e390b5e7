"""`ocrfleet submit`."""

import argparse
import sys
from datetime import UTC, datetime
from pathlib import Path

from jobs.commands import options, show
from jobs.commands.follow import follow
from jobs.diagnosis.observe import observe
from jobs.engines.status import Observed, Phase
from jobs.errors import UsageError
from jobs.jobfile import text as jobtext
from jobs.kube.objects import Object
from jobs.rendering.render import render
from jobs.runs import submit
from jobs.runs.engine_auto import render_auto
from trainer.errors import NotFoundError


def add(parser: argparse.ArgumentParser) -> None:
    """Add its arguments."""
    options.command(
        parser,
        run=run,
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
    values = jobtext.read(Path(arguments.job), sets=arguments.sets)
    auto, client = jobtext.engine_named(values) == "auto", arguments.dry_run == "client"
    cluster = options.connect(arguments) if auto or not client else None
    if cluster and auto:
        rendered, chosen = render_auto(cluster, values)
        show.say(f"placement.engine is auto: {chosen}.")
    else:
        rendered = render(values, namespace=cluster.namespace if cluster else None)
    if client or not cluster:
        for each in rendered.objects:
            show.say(f"{each['kind']} {each['metadata']['name']}: rendered; not sent to a server")
        print(rendered.run_id)
        return 0
    moving = submit.moving_images(rendered.workload)
    try:
        steps = submit.send(cluster, rendered.objects, dry_run=bool(arguments.dry_run))
    except NotFoundError as error:
        raise NotFoundError(f"{error} Create it, or choose another with -n.") from error
    for step in steps:
        show.say(f"{step.sentence}{' (by a dry run of the server)' if arguments.dry_run else ''}")
    if all(step.deed in ("there", "helm") for step in steps):
        show.say(f"Nothing changed. {_standing(steps[-1].body)}")
    for image in moving:
        show.say(
            f"warning: the tag of the image {image} may move to other content, and the run's id would stay the same: "
            "use a version or a digest in placement.image."
        )
    print(rendered.run_id, flush=True)
    if not arguments.watch:
        return 0
    return follow(cluster, steps[-1].body, run=rendered.run_id, timeout=arguments.timeout, stream=sys.stderr)


def _standing(workload: Object) -> str:
    """Describe the existing run, and how to start it again."""
    status = observe(Observed(workload=workload, now=datetime.now(UTC)))
    remedies = {
        Phase.FAILED: "To start it again, increase placement.retry by one.",
        Phase.STOPPED: f"`ocrfleet resume {status.run}` continues it.",
    }
    return f"The run is {status.phase.value}. {remedies.get(status.phase, '')}".rstrip()
