"""rehearse: the whole run in small, before it trains: what would fail at its end fails in the first minute.

The leader does it once a run. No other stage reads what it makes, so a run that skips it is the same run.
"""

import shutil
from collections.abc import Callable
from typing import Any, Final

from trainer.errors import SpecError
from trainer.run.assignment import Assignment
from trainer.system import memory
from trainer.telemetry.events import Hear, Notice, Rehearsed
from trainer.telemetry.units import duration, size

CRASHES: Final = frozenset({"SIGSEGV", "SIGABRT", "SIGBUS", "SIGFPE", "SIGILL"})
"""What a process is killed by when it crashes: the same configuration would crash again."""


def rehearse(given: Assignment, *, worker: Callable[[str], dict[str, Any]], tell: Hear) -> dict[str, Any]:
    """Try all parts of the run in one worker process, and read its export in another.

    Args:
        given: the run.
        worker: does a stage of `trainer.ppocr.worker` in a process.
        tell: hears of what the run will need.

    Returns:
        Facts: what the run will need, see `events.Rehearsed`, and the version of `paddleocr`.

    Raises:
        SpecError: a part of the configuration does not work.
        DatasetError: the samples cannot be used.
    """
    work = given.work
    shutil.rmtree(work.rehearsal, ignore_errors=True)
    work.rehearsal.mkdir()
    before = memory.available()
    try:
        needs = worker("rehearse")
        read = worker("reread")
    finally:
        shutil.rmtree(work.rehearsal, ignore_errors=True)
    event = Rehearsed(**needs)
    tell(event)
    for warning in warnings(event, given, available=before):
        tell(Notice(message=warning))
    return {**needs, **read}


def warnings(needs: Rehearsed, given: Assignment, *, available: int | None) -> list[str]:
    """Return what a user should change before the run has used its time or its memory in vain.

    Args:
        needs: what was found.
        given: the run.
        available: bytes of memory that were free before; None: not known.
    """
    found = []
    if given.longest is not None and needs.run_seconds * (1 - needs.margin) > given.longest:
        found.append(
            f"The run would take about {duration(needs.run_seconds)}, but placement.deadlines.run ends it after "
            f"{duration(given.longest)}. Increase it, or lower run.train.epochs."
        )
    wanted = needs.host_memory_bytes * given.topology.devices_per_node
    if available is not None and wanted > available:
        found.append(
            f"The {given.topology.devices_per_node} workers of a node need about {size(wanted)} of memory, but "
            f"{size(available)} are free. Lower run.train.batchSizePerDevice, or increase "
            "placement.resources.limits.memory."
        )
    return found


def killed(by: str, *, without_memory: bool, given: Assignment) -> SpecError | None:
    """Return the error for a rehearsal whose process was killed; None if a retry may help.

    Args:
        by: name of the signal.
        without_memory: whether memory ran out.
        given: the run, whose process noted the part that it was trying.
    """
    if not (without_memory or by in CRASHES):
        return None
    noted = given.work.rehearsed_part
    part = noted.read_text("utf-8") if noted.exists() else "its start"
    if without_memory:
        return SpecError(
            f"Memory ran out in the rehearsal, in {part}. Lower run.train.batchSizePerDevice, or increase "
            "placement.resources.limits.memory."
        )
    return SpecError(
        f"The rehearsal crashed with {by} in {part}. Change this part of the configuration, or choose a recipe "
        "(`ocrfleet recipes` lists them)."
    )
