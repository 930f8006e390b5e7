"""`ocrfleet stop` and `ocrfleet resume`."""

import argparse
from collections.abc import Callable
from datetime import UTC, datetime

from jobs.commands import options, show
from jobs.kube.fields import run_of
from jobs.runs import find, suspend, wait
from jobs.runs.suspend import Decision


def add_stop(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `stop`."""
    options.command(
        parser,
        run=stop,
        text="Stop a run: its pods write a checkpoint and end, and their devices become free. `ocrfleet resume` "
        "continues from the checkpoint. Under Kueue the run's Workload is deactivated, so that the queue does "
        "not start it again. Submitting the same job file does not resume a stopped run. The command returns at "
        "once. Stopping a stopped run is no error.",
        examples="ocrfleet stop slips-rec-1a2b3c4d\n"
        "ocrfleet stop slips-rec --wait               # the newest run of that name\n"
        "ocrfleet stop slips-rec-1a2b3c4d --wait --timeout 10m",
    )
    _words(parser, "return when its pods are gone")


def add_resume(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `resume`."""
    options.command(
        parser,
        run=resume,
        text="Continue a stopped run from its checkpoint. In a queue it goes to the end. A failed run cannot be "
        "resumed: increase placement.retry in its job file, and submit the file again.",
        examples="ocrfleet resume slips-rec-1a2b3c4d\nocrfleet resume slips-rec --wait && ocrfleet logs slips-rec -f",
    )
    _words(parser, "return when it is admitted, so that its pods can start")


def _words(parser: argparse.ArgumentParser, wait: str) -> None:
    options.run_name(parser)
    parser.add_argument("--wait", action="store_true", help=f"{wait} (default: return at once)")
    options.cluster(parser)


def stop(arguments: argparse.Namespace) -> int:
    """Stop a run."""
    return _suspend(arguments, suspend.stop, suspend.at_rest)


def resume(arguments: argparse.Namespace) -> int:
    """Let a run continue."""
    return _suspend(arguments, suspend.resume, suspend.let_go)


def _suspend(arguments: argparse.Namespace, decide: Callable[..., Decision], until: Callable[..., bool]) -> int:
    cluster = options.connect(arguments)
    workload = find.find(cluster, arguments.name)
    observed = find.gather(cluster, workload, now=datetime.now(UTC), whole=False)
    decision = decide(observed, queues=cluster.served("kueue.x-k8s.io") is not None)
    if decision.change is not None:
        cluster.change(decision.change)
    show.say(decision.sentence)
    if arguments.wait:
        wait.wait(cluster, observed, until, timeout=arguments.timeout)
    print(run_of(observed.workload))
    return 0
