"""A node that failed for good stays to be looked at, for as long as the job file says."""

import contextlib
import os
import queue
import signal
from collections.abc import Callable
from typing import Final

from trainer import contract
from trainer.contract import ExitCode
from trainer.telemetry.progress import duration

FINAL: Final = frozenset(
    {
        ExitCode.FAILED,
        ExitCode.SPEC,
        ExitCode.DATASET,
        ExitCode.ACCESS,
        ExitCode.GATE,
        ExitCode.DIVERGED,
        ExitCode.STALLED,
    }
)
"""Ends that somebody may want to look into; the others are worth a retry, or nobody's fault."""


def until_told(code: int, *, say: Callable[[str], None]) -> None:
    """Wait, if the job file asks for it and the end is one to look into; SIGTERM and SIGINT end that at once.

    Args:
        code: what the node is about to end with.
        say: is told how to look, and how to end it.
    """
    seconds = int(os.environ.get(contract.ENV_HOLD, "0"))
    if not seconds or code not in FINAL:
        return
    # A SimpleQueue may be filled from a signal handler.
    told: queue.SimpleQueue[int] = queue.SimpleQueue()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, _: told.put(number))
    pod = os.environ.get(contract.ENV_POD, "POD")
    say(
        f"This pod stays for {duration(seconds)} (placement.debug.holdOnFailure), then ends with {code}. "
        f"Look inside with `kubectl exec -it {pod} -- sh`; end it with `kubectl delete pod {pod}`."
    )
    with contextlib.suppress(queue.Empty):
        told.get(timeout=seconds)
