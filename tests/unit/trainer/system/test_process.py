"""What the kernel does for a process that has asked for it."""

import ctypes
import os
import signal
import subprocess
import sys

import pytest

from trainer.system import process

NOBODY = 65534
_PR_SET_DUMPABLE = 4


def read_by_another(*, hidden: bool) -> bool:
    """Whether a process of the same user can read the environment of one, as seen from a child of this process."""
    child = os.fork()
    if child == 0:
        if os.getuid() == 0:  # root reads everything
            os.setgroups([])
            os.setgid(NOBODY)
            os.setuid(NOBODY)
        # Another user's process is hidden by the change of its user alone.
        ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 1, 0, 0, 0)
        if hidden:
            process.hide()
        reader = os.fork()
        if reader == 0:
            try:
                with open(f"/proc/{os.getppid()}/environ", "rb"):
                    os._exit(0)
            except OSError:
                os._exit(1)
        os._exit(os.waitstatus_to_exitcode(os.waitpid(reader, 0)[1]))
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_a_hidden_process_is_not_read_by_others_of_the_same_user() -> None:
    assert read_by_another(hidden=False)
    assert not read_by_another(hidden=True)


def test_a_hidden_process_can_still_start_programs() -> None:
    code = "import subprocess, sys; from trainer.system import process; process.hide(); "
    code += "print(subprocess.run([sys.executable, '-c', 'print(7)'], capture_output=True, text=True).stdout)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "7\n\n"


@pytest.mark.timeout(60)
def test_a_process_dies_with_its_parent() -> None:
    ended, lives = os.pipe()
    parent = os.fork()
    if parent == 0:
        ready, told = os.pipe()
        if os.fork() == 0:
            process.die_with_parent()
            os.write(told, b"x")
            while True:
                signal.pause()
        os.read(ready, 1)
        os._exit(0)
    os.waitpid(parent, 0)
    os.close(lives)
    assert os.read(ended, 1) == b"", "the orphan, who alone has the other end still, is gone"
    os.close(ended)
