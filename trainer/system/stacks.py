"""Signals upon which a process writes where each of its threads stands, even one that hangs in a library."""

import faulthandler
import signal
from typing import Final

SHOW: Final = signal.SIGUSR1
"""Write the stacks to standard error and continue: for a person who looks at a process that seems to hang."""

SHOW_AND_END: Final = signal.SIGUSR2
"""Write the stacks, then end by the signal: its end proves that they are written, which SIGKILL would cut short."""


def on_signals() -> None:
    """Write stacks upon SHOW and SHOW_AND_END from now on."""
    faulthandler.register(SHOW, all_threads=True)
    # Chained to the default action, which ends the process.
    faulthandler.register(SHOW_AND_END, all_threads=True, chain=True)
