"""`ocrfleet list` and `ocrfleet top`."""

import argparse
import gc
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from jobs.commands import options, show
from jobs.commands.document import document
from jobs.diagnosis import describe
from jobs.diagnosis.cost import Cost, cost
from jobs.diagnosis.observe import observe
from jobs.engines.status import Observed, Status
from jobs.kube.fields import text
from jobs.kube.times import span
from jobs.runs import find


def add_list(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `list`."""
    options.command(
        parser,
        run=list_runs,
        text="List the runs of a namespace, the newest last, each with its phase, how many of its nodes run or are "
        "done, and why it waits or failed. On a terminal the reason is cut to fit; elsewhere, and with -o wide, "
        "it is complete. `ocrfleet status` shows more of one run, such as which runs hold its quota and which "
        "machines have no room.",
        examples="ocrfleet list\n"
        "ocrfleet list -A -o wide\n"
        "ocrfleet list -o json | jq -r '.[] | select(.phase == \"Failed\") | .run'\n"
        "ocrfleet list -o name | tail -n 1            # the newest",
    )
    _words(parser)
    parser.add_argument(
        "-o",
        "--output",
        choices=("wide", "yaml", "json", "name"),
        help="output format; name: only the run ids, each once (default: a table)",
    )
    options.cluster(parser)


def add_top(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `top`."""
    options.command(
        parser,
        run=top,
        text="Show the cost of runs, the most expensive first. DEVICE-HOURS: devices of the pods, from scheduling to "
        "the end of the container. IDLE: the part of DEVICE-HOURS in which some node was not working, because it "
        "had no pod or was pulling its image; nodes that are done do not count as missing. QUEUED: time from the "
        "run's creation, or its last return to the queue, to its admission. Only existing pods count, not "
        "deleted ones, such as after `ocrfleet stop` or the loss of a Kubernetes node. A ? is an unknown value. "
        "The devices of a CPU run are its worker processes.",
        examples="ocrfleet top\nocrfleet top -A -o wide\nocrfleet top -A -o json | jq 'map(.deviceHours // 0) | add'",
    )
    _words(parser)
    options.output(parser, "wide", "yaml", "json")
    options.cluster(parser)


def _words(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-A", "--all-namespaces", action="store_true", help="of all namespaces")


_LIST = {"RUN": "run", "ENGINE": "engine", "PHASE": "phase", "NODES": "ready", "AGE": "age"}
_WIDE = {"OBJECT": "object", "QUEUE": "queue", "STARTED": "begun", "RESTARTS": "restarts", "EXIT": "exit"}
_SPACE = {"NAMESPACE": "namespace"}


def list_runs(arguments: argparse.Namespace) -> int:
    """List runs."""
    found = _read(arguments)
    facts = [describe.facts(each, namespace=text(at.workload, "metadata", "namespace")) for at, each in found]
    if arguments.output in ("yaml", "json"):
        document(facts, arguments.output)
        return 0
    if arguments.output == "name":
        print(*dict.fromkeys(each["run"] for each in facts), sep="\n", end="\n" if facts else "")
        return 0
    rows: list[dict[str, Any]] = [
        {
            **one,
            "ready": describe.ready(status),
            "age": span(at.now - status.created) if status.created else None,
            "queue": status.queue.name if status.queue else None,
            "begun": span(at.now - status.started) if status.started else None,
            "exit": status.exit_code,
        }
        for (at, status), one in zip(found, facts, strict=True)
    ]
    wide = arguments.output == "wide"
    columns = (_SPACE if arguments.all_namespaces else {}) | _LIST | (_WIDE if wide else {}) | {"REASON": "reason"}
    if rows:
        show.table(rows, columns, cut=not wide, spare=() if wide else ("ENGINE", "AGE", "NODES"))
    return 0


_TOP = {"RUN": "run", "PHASE": "phase", "DEVICES": "devices", "DEVICE-HOURS": "hours", "IDLE": "idle", "QUEUED": "wait"}


def top(arguments: argparse.Namespace) -> int:
    """Show what runs have cost."""
    found = [(at, status, cost(at, status)) for at, status in _read(arguments)]
    found.sort(key=lambda each: -1.0 if each[2].device_hours is None else each[2].device_hours, reverse=True)
    facts = [_spent(*each) for each in found]
    if arguments.output in ("yaml", "json"):
        document(facts, arguments.output)
        return 0
    rows = [
        {
            **one,
            "hours": _hours(one["deviceHours"]),
            "idle": _hours(one["idleDeviceHours"]),
            "wait": span(each.queued) if each.queued is not None else "?",
            "devices": "?" if each.devices is None else each.devices,
        }
        for (_, _, each), one in zip(found, facts, strict=True)
    ]
    columns = (_SPACE if arguments.all_namespaces else {}) | _TOP
    if rows:
        wide = {"ENGINE": "engine", "OBJECT": "object"} if arguments.output == "wide" else {}
        show.table(rows, columns | wide, spare=() if wide else ("DEVICES", "QUEUED"))
    return 0


def _spent(at: Observed, status: Status, cost: Cost) -> dict[str, Any]:
    return {
        "run": status.run,
        "object": status.name,
        "namespace": text(at.workload, "metadata", "namespace"),
        "engine": status.engine,
        "phase": str(status.phase),
        "devices": cost.devices,
        "deviceHours": cost.device_hours and round(cost.device_hours, 4),
        "idleDeviceHours": cost.idle_hours and round(cost.idle_hours, 4),
        "queuedSeconds": None if cost.queued is None else int(cost.queued.total_seconds()),
    }


def _hours(hours: float | None) -> str:
    return "?" if hours is None else f"{hours:.2f}"


def _read(arguments: argparse.Namespace) -> list[tuple[Observed, Status]]:
    cluster = options.connect(arguments)
    everywhere = arguments.all_namespaces
    with _without_garbage_collection():
        found = find.gather_all(cluster, now=datetime.now(UTC), everywhere=everywhere)
    if not found and arguments.output in (None, "wide", "name"):
        show.say("No runs in any namespace." if everywhere else f"No runs in namespace {cluster.namespace}.")
    return [(each, observe(each)) for each in found]


@contextmanager
def _without_garbage_collection() -> Iterator[None]:
    # A thousand runs are a million objects, none of them garbage: looking for it takes as long as reading them.
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
