"""`ocrfleet shell`."""

import argparse
from collections.abc import Sequence
from typing import Any

from jobs.commands import options
from jobs.engines import engine_of
from jobs.kube import exec
from jobs.kube.client import Cluster
from jobs.kube.fields import name_of, run_of, text
from jobs.kube.kinds import POD
from jobs.kube.objects import Object
from jobs.runs import find, pod_logs
from trainer.errors import NotFoundError

_SHELL = ("sh", "-c", "command -v bash >/dev/null && exec bash || exec sh")


def add(parser: argparse.ArgumentParser) -> None:
    """Add its arguments."""
    options.command(
        parser,
        run=run,
        text="Open a shell in a pod of a run, or run a command there, and exit with its code. On a terminal the "
        "command gets a terminal; in a pipe, input and output pass through unchanged. A failed pod stays for the "
        "time that placement.debug.holdOnFailure sets.",
        examples="ocrfleet shell slips-rec-1a2b3c4d\n"
        "ocrfleet shell slips-rec-1a2b3c4d --node 1 -- nvidia-smi\n"
        "ocrfleet shell slips-rec -- tar -cz -C /work logs > logs.tgz",
    )
    options.run_name(parser)
    parser.add_argument("--node", metavar="N", type=options.count, default=0, help="the node (default: 0)")
    options.cluster(parser)
    parser.usage = """%(prog)s [-h] [--debug] [--node N] [--context NAME] [-n NAMESPACE]
                      [--timeout TIME] RUN [-- COMMAND [WORD ...]]"""
    _take_command(parser)


def _take_command(parser: argparse.ArgumentParser) -> None:
    """Keep the words after `--` unparsed: argparse would look for options in them."""
    parse = parser.parse_known_args

    def parse_known(args: Sequence[str], namespace: Any = None) -> tuple[argparse.Namespace, list[str]]:
        before = list(args)[: list(args).index("--")] if "--" in args else list(args)
        found, unknown = parse(before, namespace)
        found.words = list(args)[len(before) + 1 :]
        return found, unknown

    parser.parse_known_args = parse_known  # type: ignore[method-assign, assignment]


def run(arguments: argparse.Namespace) -> int:
    """Open a shell."""
    cluster = options.connect(arguments)
    pod = _pod(cluster, find.find(cluster, arguments.name), arguments.node)
    terminal = exec.terminal()
    words = arguments.words or _SHELL
    opened = cluster.execute(name_of(pod), words, container=pod_logs.container(pod), terminal=terminal)
    return exec.attach(opened, terminal=terminal)


def _pod(cluster: Cluster, workload: Object, node: int) -> Object:
    """Return the running pod of a node.

    Raises:
        NotFoundError: the node has no running pod.
    """
    engine = engine_of(workload)
    pods = cluster.find(POD, selector=engine.pod_selector(name_of(workload)))[0] if engine else []
    found = pod_logs.by_rank(pods, engine)[node] if engine and node in pod_logs.by_rank(pods, engine) else []
    running = [each for each in found if text(each, "status", "phase") == "Running"]
    if not running:
        raise NotFoundError(
            f"Node {node} of {run_of(workload)} has no running pod. `ocrfleet status {run_of(workload)}` shows why; "
            f"`ocrfleet logs {run_of(workload)} --node {node}` shows its logs."
        )
    return running[0]
