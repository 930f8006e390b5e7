"""`ocrfleet stop` and `ocrfleet resume`."""

import argparse
from typing import TYPE_CHECKING

from jobs.commands import options, show

if TYPE_CHECKING:
    from collections.abc import Callable

    from jobs.engines.status import Observed
    from jobs.kube.client import Cluster
    from jobs.runs.suspend import Decision


def add(commands: options.Commands) -> None:
    """Add the commands to the parser."""
    parser = options.command(
        commands,
        "stop",
        run=stop,
        summary="stop a run after a checkpoint; it can be resumed",
        text="Stop a run: its pods write a checkpoint and end, and their devices become free. `ocrfleet resume` "
        "continues from the checkpoint. Under Kueue the run's Workload is deactivated, so that the queue does "
        "not start it again. Submitting the same job file does not resume a stopped run. The command returns at "
        "once. Stopping a stopped run is no error.",
        examples="ocrfleet stop slips-rec-1a2b3c4d\n"
        "ocrfleet stop slips-rec --wait               # the newest run of that name\n"
        "ocrfleet stop slips-rec-1a2b3c4d --wait --timeout 10m",
    )
    _words(parser, "return when its pods are gone")
    parser = options.command(
        commands,
        "resume",
        run=resume,
        summary="continue a stopped run",
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
    cluster = options.connect(arguments)
    from jobs.runs import suspend

    observed = _observed(cluster, arguments.name)
    decision = suspend.stop(observed, queues=cluster.served("kueue.x-k8s.io") is not None)
    return _do(arguments, cluster, observed, decision, suspend.at_rest)


def resume(arguments: argparse.Namespace) -> int:
    """Let a run go on."""
    cluster = options.connect(arguments)
    from jobs.runs import suspend

    observed = _observed(cluster, arguments.name)
    decision = suspend.resume(observed, queues=cluster.served("kueue.x-k8s.io") is not None)
    return _do(arguments, cluster, observed, decision, suspend.let_go)


def _observed(cluster: "Cluster", name: str) -> "Observed":
    from datetime import UTC, datetime

    from jobs.runs import find

    return find.gather(cluster, find.find(cluster, name), now=datetime.now(UTC), whole=False)


def _do(
    arguments: argparse.Namespace,
    cluster: "Cluster",
    observed: "Observed",
    decision: "Decision",
    until: "Callable[..., bool]",
) -> int:
    from jobs.kube.fields import run_of
    from jobs.runs import wait as waiting

    if decision.change is not None:
        cluster.change(decision.change)
    show.say(decision.sentence)
    if arguments.wait:
        waiting.wait(cluster, observed, until, timeout=arguments.timeout)
    print(run_of(observed.workload))
    return 0
