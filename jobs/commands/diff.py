"""`ocrfleet diff`."""

import argparse
from typing import TYPE_CHECKING

from jobs.commands import options, show

if TYPE_CHECKING:
    from jobs.runs.diff import Difference

SAME, DIFFERS, FAULT = 0, 1, 2
"""As kubectl's: 0, 1, and above 1 for an error."""


def add(commands: options.Commands) -> None:
    """Add the command to the parser."""
    parser = options.command(
        commands,
        "diff",
        run=run,
        summary="show what a job file would change on a cluster",
        text="Compare a job file with the last run of its name, or with RUN. Print the differences and the effect of "
        "submitting the file: nothing, a new object that resumes the same run, or a new run. Nothing is changed. "
        "The exit code is 0 if nothing differs, 1 if something does, and above 1 for an error, as with kubectl.",
        examples="ocrfleet diff job.yaml\nocrfleet diff job.yaml slips-rec-1a2b3c4d --set placement.nodes=4\n"
        "ocrfleet diff job.yaml > /dev/null || ocrfleet submit job.yaml",
    )
    options.job_file(parser)
    parser.add_argument(
        "name",
        metavar="RUN",
        nargs="?",
        help="a run's id or its object's name (default: the run that this job file makes, else the newest of its name)",
    )
    options.cluster(parser)
    options.output(parser, "yaml", "json")


def run(arguments: argparse.Namespace) -> int:
    """Compare a job file with a run."""
    from trainer.contract import ExitCode
    from trainer.errors import OcrfleetError

    try:
        return _compare(arguments)
    except OcrfleetError as error:
        if error.exit_code is not ExitCode.FAILED:
            raise
        show.say(f"error: {error}")  # 1 would say that something differs
        return FAULT


def _compare(arguments: argparse.Namespace) -> int:
    from jobs.rendering import helm

    helm.warm()
    values = options.read_text(arguments)
    cluster = options.connect(arguments)
    from jobs.commands.submit import engine_chosen
    from jobs.jobfile import text as jobtext
    from jobs.kube.fields import name_of, run_of
    from jobs.rendering.render import render
    from jobs.runs import find
    from jobs.runs.diff import Difference, compare

    if jobtext.engine_of(values) == "auto":
        rendered = render(engine_chosen(values, cluster), namespace=cluster.namespace)
    else:
        rendered = render(values, namespace=cluster.namespace)
    new, name = rendered.workload, values["name"]
    if arguments.name:
        old = find.find(cluster, arguments.name)
    else:
        before = find.workloads(cluster, name=name)
        mine = [each for each in before if run_of(each) == rendered.run_id]
        mine = [each for each in mine if name_of(each) == name_of(new)] or mine
        if not before:
            found = Difference(
                sentence=f"A new run {rendered.run_id}: the namespace {cluster.namespace} has no run of the job "
                f"{name}.",
                changes=(),
                same=False,
            )
            return _print(found, arguments.output)
        old = (mine or before)[-1]
    return _print(compare(new, old), arguments.output)


def _print(found: "Difference", output: str | None) -> int:
    if output:
        show.document({"verdict": found.sentence, "same": found.same, "changes": list(found.changes)}, output)
    else:
        print(found.sentence, *(f"  {each}" for each in found.changes), sep="\n")
    return SAME if found.same else DIFFERS
