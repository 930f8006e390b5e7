"""`ocrfleet status` and `ocrfleet events`."""

import argparse
import sys
from datetime import UTC, datetime

from jobs.commands import options, show
from jobs.commands.document import document
from jobs.diagnosis import describe
from jobs.diagnosis import events as event_lines
from jobs.diagnosis.observe import observe
from jobs.engines import engine_of
from jobs.engines.status import Phase
from jobs.kube import times
from jobs.kube.fields import name_of
from jobs.kube.kinds import EVENT
from jobs.runs import find, pod_logs


def add_status(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `status`."""
    options.command(
        parser,
        run=status,
        text="Show the phase of a run, the reason and the next step, and how far a running one is. Then show its "
        "nodes: the Kubernetes node, how often the pod was lost and came back, and the exit code. What your account "
        "may not read is left out, and the reason has less detail. The exit code is 0 when the run could be read, even "
        "if the run failed.",
        examples="ocrfleet status slips-rec-1a2b3c4d\n"
        "ocrfleet status slips-rec                    # the newest run of that name\n"
        "ocrfleet status slips-rec -o json | jq -r .phase",
    )
    options.run_name(parser)
    options.output(parser, "wide", "yaml", "json")
    options.cluster(parser)


def add_events(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `events`."""
    options.command(
        parser,
        run=events,
        text="Show the events of a run's objects: the workload, its child objects, its pods (also deleted ones) and "
        "Kueue's Workload. The oldest come first; a repeated event is shown once, with its count. Kubernetes "
        "keeps events for an hour.",
        examples="ocrfleet events slips-rec-1a2b3c4d\nocrfleet events slips-rec -o wide           # with full names",
    )
    options.run_name(parser)
    options.output(parser, "wide", "yaml", "json")
    options.cluster(parser)


_NODES = {"NODE": "rank", "PHASE": "phase", "MACHINE": "machine", "RESTARTS": "restarts", "EXIT": "exit", "RAN": "ran"}


def status(arguments: argparse.Namespace) -> int:
    """Show where a run stands."""
    cluster = options.connect(arguments)
    now = datetime.now(UTC)
    workload = find.find(cluster, arguments.name)
    gathered = find.gather(cluster, workload, now=now)
    found, engine = observe(gathered), engine_of(workload)
    running = found.phase is Phase.RUNNING
    progress = pod_logs.newest(cluster, gathered.pods, engine) if engine and running else None
    if arguments.output in ("yaml", "json"):
        document(describe.facts(found, namespace=cluster.namespace, progress=progress), arguments.output)
        return 0
    print(show.wrapped(describe.head(found, namespace=cluster.namespace, now=now, progress=progress), sys.stdout))
    if found.nodes:
        print()
        wide = {"POD": "pod"} if arguments.output == "wide" else {}
        show.table([describe.node_row(each, now=now) for each in found.nodes], _NODES | wide)
    if sentences := list(describe.node_reasons(found)):
        print("", *(show.wrapped(each, sys.stdout) for each in sentences), sep="\n")
    return 0


_EVENTS = {"LAST": "age", "COUNT": "count", "TYPE": "type", "REASON": "reason", "OBJECT": "about", "MESSAGE": "message"}


def events(arguments: argparse.Namespace) -> int:
    """Show what the cluster has said of a run."""
    cluster = options.connect(arguments)
    now = datetime.now(UTC)
    workload = find.find(cluster, arguments.name)
    observed = find.gather(cluster, workload, now=now, whole=False)
    found = event_lines.of(observed, cluster.find(EVENT)[0])
    if arguments.output in ("yaml", "json"):
        document([each.facts() for each in found], arguments.output)
        return 0
    if not found:
        show.say(f"No events of {name_of(workload)}. Kubernetes keeps events for an hour.")
        return 0
    wide = arguments.output == "wide"
    rows = [
        {
            **each.facts(),
            "age": times.span(now - each.last),
            "about": f"{each.kind} {each.name}" if wide else each.about(name_of(workload)),
        }
        for each in found
    ]
    show.table(rows, _EVENTS)
    return 0
