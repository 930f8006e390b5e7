"""What a process asks of the kernel about itself, by prctl(2)."""

import ctypes
import signal
from typing import Final

_PR_SET_PDEATHSIG: Final = 1
_PR_SET_DUMPABLE: Final = 4
"""Both from linux/prctl.h."""

_LIBC: Final = ctypes.CDLL(None, use_errno=True)


def die_with_parent() -> None:
    """Have the kernel end this process when its parent is gone, so that no worker is orphaned."""
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def hide() -> None:
    """Keep other processes of this user from reading this one's memory and environment, and the kernel from dumping it.

    A process with CAP_SYS_PTRACE, such as root's, still can. Programs that this one starts are not hidden.
    """
    _LIBC.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
