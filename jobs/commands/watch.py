"""`ocrfleet watch`."""

import argparse

from jobs.commands import options
from jobs.commands.follow import follow
from jobs.kube.fields import run_of
from jobs.runs import find


def add(parser: argparse.ArgumentParser) -> None:
    """Add its arguments."""
    options.command(
        parser,
        run=run,
        text="Print a run's phase and reason each time that they change, and the stages, steps, losses and metrics "
        "that its leader logs. On a terminal, progress is shown in one line. Watching continues when pods are "
        "lost or the API server restarts. The exit code is the run's own: 0 when its model is published. Ctrl-C "
        "(130) and --timeout (75) end only the watching; the run continues.",
        examples="ocrfleet watch slips-rec-1a2b3c4d\n"
        "ocrfleet watch slips-rec                     # the newest run of that name\n"
        "ocrfleet watch slips-rec --timeout 2h        # at most two hours",
    )
    options.run_name(parser)
    options.cluster(parser)


def run(arguments: argparse.Namespace) -> int:
    """Watch a run."""
    cluster = options.connect(arguments)
    workload = find.find(cluster, arguments.name)
    return follow(cluster, workload, run=run_of(workload), timeout=arguments.timeout)
