"""Keeps a pod that failed for good running for a while, so that somebody can look into it."""

import contextlib
import os
import queue
import signal
from collections.abc import Callable
from typing import Final

from trainer import contract
from trainer.contract import ExitCode
from trainer.telemetry.units import duration

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
"""Exit codes that are worth investigating; after the others the run is retried, or nothing is wrong."""


def until_told(code: int, *, say: Callable[[str], None]) -> None:
    """Wait, if the job file asks for it and the exit code is worth investigating. SIGTERM and SIGINT end the wait.

    Args:
        code: the exit code that the node is about to end with.
        say: called with the message that tells the user how to get in, and how to end the pod.
    """
    seconds = int(os.environ.get(contract.ENV_HOLD, "0"))
    if not seconds or code not in FINAL:
        return
    # A SimpleQueue may be filled from a signal handler.
    signals: queue.SimpleQueue[int] = queue.SimpleQueue()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, _: signals.put(number))
    pod = os.environ.get(contract.ENV_POD, "POD")
    say(
        f"This pod stays for {duration(seconds)} (placement.debug.holdOnFailure), then exits with {code}. "
        f"Look inside with `kubectl exec -it {pod} -- sh`. End it now with `kubectl delete pod {pod}`."
    )
    with contextlib.suppress(queue.Empty):
        signals.get(timeout=seconds)
