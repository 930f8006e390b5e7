"""A process that writes where it stands: a real one, that hangs in a lock of its own."""

import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from trainer.system import stacks

HANGS = """
import sys, threading
from trainer.system import stacks
stacks.on_signals()
def that_hangs(lock):
    lock.acquire()
    print("ready", file=sys.stderr, flush=True)
    lock.acquire()
threading.Thread(target=that_hangs, args=(threading.Lock(),), name="second", daemon=True).start()
threading.Event().wait()
"""


@pytest.fixture
def hanging() -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen([sys.executable, "-c", HANGS], stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr
        assert process.stderr.readline() == "ready\n"
        yield process
        process.kill()


def until_main_thread(process: subprocess.Popen[str]) -> str:
    """The stacks of all threads; the main thread's comes last, and its outermost frame is the module's."""
    assert process.stderr
    lines = []
    for line in process.stderr:
        lines.append(line)
        if "<module>" in line or "in <module>" in line:
            break
    return "".join(lines)


def test_every_threads_stack_is_shown_and_the_process_continues(hanging: subprocess.Popen[str]) -> None:
    for _ in range(2):
        hanging.send_signal(stacks.SHOW)
        assert "in that_hangs" in until_main_thread(hanging)
    assert hanging.poll() is None


def test_a_process_that_is_to_end_has_written_its_stacks_before(hanging: subprocess.Popen[str]) -> None:
    hanging.send_signal(stacks.SHOW_AND_END)
    assert "in that_hangs" in until_main_thread(hanging)
    assert hanging.wait(30) == -stacks.SHOW_AND_END


def test_the_signal_of_the_documentation_is_the_one_that_shows() -> None:
    assert stacks.SHOW == signal.SIGUSR1
