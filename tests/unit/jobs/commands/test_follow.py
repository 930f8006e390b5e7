"""What following a run shows on a terminal, and elsewhere. How it ends: test_watch.py."""

import fcntl
import os
import pty
import struct
import termios

import pytest

from jobs.commands.follow import Screen
from tests.unit.jobs.runs.test_watch import STEP
from trainer.telemetry.lines import read as read_line


def read(side: int) -> str:
    """Return everything that was written to the other end of a terminal or pipe, and close this end."""
    found = b""
    try:
        while block := os.read(side, 10_000):
            found += block
    except OSError:
        pass  # Linux says EIO when the other side of a pty is closed
    os.close(side)
    return found.decode()


@pytest.mark.parametrize(
    ("columns", "standing"),
    [
        (40, "[train 3%] step 2/32, 14 s left, loss …"),
        (71, "[train 3%] step 2/32, 14 s left, loss 61.43, 8.72 samples/s, epoch 1/8"),
        (80, "[train 3%] step 2/32, 14 s left, loss 61.43, 8.72 samples/s, epoch 1/8"),
        (0, "[train 3%] step 2/32, 14 s left, loss 61.43, 8.72 samples/s, epoch 1/8"),
    ],
)
def test_on_a_terminal_progress_stays_in_one_line(columns: int, standing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Other lines stand above it; what its stage says next takes its place."""
    monkeypatch.setenv("TERM", "xterm")
    leader, follower = pty.openpty()
    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    with os.fdopen(follower, "w", encoding="utf-8") as stream:
        screen = Screen(stream)
        screen.logged(read_line("[train begun]"))
        screen.logged(read_line(STEP.format(1)))
        screen.logged(read_line(STEP.format(2)))
        screen.line("lines is Waiting.")
        screen.logged(read_line("[train] evaluated"))
        screen.logged(read_line("[train done] 14 s"))
        screen.close()
    shown = read(leader)
    first, rest = shown.split("\r\n", 1)
    assert first == "[train begun]"
    clear = "\r\033[K"
    assert rest == (
        f"{clear}{standing.replace('2/32', '1/32')}{clear}{standing}"
        f"{clear}lines is Waiting.\r\n{standing}{clear}[train] evaluated\r\n"
        f"{standing}{clear}[train done] 14 s\r\n"
    )


@pytest.mark.parametrize("terminal", ["dumb", "pipe"])
def test_where_no_line_can_be_written_over_each_has_its_own(terminal: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "dumb" if terminal == "dumb" else "xterm")
    leader, follower = pty.openpty() if terminal == "dumb" else os.pipe()
    with os.fdopen(follower, "w", encoding="utf-8") as stream:
        screen = Screen(stream)
        screen.logged(read_line(STEP.format(1)))
        screen.logged(read_line(STEP.format(2)))
        screen.close()
    shown = read(leader)
    assert shown.split() == f"{STEP.format(1)} {STEP.format(2)}".split()
    assert "\033" not in shown
