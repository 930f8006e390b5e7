"""`ocrfleet diff`."""

import argparse
from pathlib import Path

from jobs.commands import options, show
from jobs.commands.document import document
from jobs.jobfile import text as jobtext
from jobs.kube.fields import name_of, run_of
from jobs.rendering.render import render
from jobs.runs import find
from jobs.runs.diff import Difference, compare
from jobs.runs.engine_auto import render_auto
from trainer.contract import ExitCode
from trainer.errors import OcrfleetError

SAME, DIFFERS, FAULT = 0, 1, 2
"""As kubectl's: 0, 1, and above 1 for an error."""


def add(parser: argparse.ArgumentParser) -> None:
    """Add its arguments."""
    options.command(
        parser,
        run=run,
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
    try:
        found = _difference(arguments)
    except OcrfleetError as error:
        if error.exit_code is not ExitCode.FAILED:
            raise
        show.say(f"error: {error}")  # 1 would say that something differs
        return FAULT
    if arguments.output:
        verdict = {"verdict": found.sentence, "same": found.same, "changes": list(found.changes)}
        document(verdict, arguments.output)
    else:
        print(found.sentence, *(f"  {each}" for each in found.changes), sep="\n")
    return SAME if found.same else DIFFERS


def _difference(arguments: argparse.Namespace) -> Difference:
    values = jobtext.read(Path(arguments.job), sets=arguments.sets)
    cluster = options.connect(arguments)
    if jobtext.engine_named(values) == "auto":
        new, chosen = render_auto(cluster, values)
        show.say(f"placement.engine is auto: {chosen}.")
    else:
        new = render(values, namespace=cluster.namespace)
    if arguments.name:
        return compare(new.workload, find.find(cluster, arguments.name))
    before = find.workloads(cluster, name=values["name"])
    if not before:
        return Difference(
            sentence=f"A new run {new.run_id}: the namespace {cluster.namespace} has no run of the job "
            f"{values['name']}.",
            changes=(),
            same=False,
        )
    mine = [each for each in before if run_of(each) == new.run_id]
    mine = [each for each in mine if name_of(each) == name_of(new.workload)] or mine
    return compare(new.workload, (mine or before)[-1])
