"""The node processes of `ocrfleet run`: start them, pass signals on, see them to their end.

What to run is said by `jobs/local/plan.py`; this module knows processes only. Everything that can happen, an end or a
signal, comes through one queue, so nothing is polled and every wait has a deadline.
"""

import ctypes
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Final, TextIO

from trainer.contract import ExitCode
from trainer.system.process import hide


@dataclass(frozen=True, kw_only=True)
class Node:
    """One node process, as data."""

    rank: int
    """Its place; 0 leads."""

    command: Sequence[str]
    """Program and arguments."""

    environment: Mapping[str, str]
    """What is set on top of this process's own environment."""

    output: Path | None
    """The file for its standard output and error. None: this process's standard error."""


@dataclass(frozen=True, kw_only=True)
class Patience:
    """How long each wait may last, in seconds."""

    peers: float = 15.0
    """For the others to end by themselves after one has failed, or after the leader is done."""

    stop: float = 300.0
    """For a node that was told to stop; a checkpoint of 1 GB is pushed in that time at 30 Mbit/s."""

    again: float = 5.0
    """Within which a second Ctrl-C kills."""


@dataclass(kw_only=True)
class Ended:
    """How the nodes ended."""

    codes: dict[int, int] = field(default_factory=dict)
    """Exit code of each node, in the order in which they ended; negative: killed by that signal."""

    stopped: bool = False
    """The user told them to stop."""

    @property
    def verdict(self) -> int:
        """The run's exit code: the leader's success, else the failure that best says why."""
        if self.codes.get(0) == ExitCode.DONE:
            return ExitCode.DONE
        failures = [_exit_code(code) for code in self.codes.values() if code]
        if self.stopped and all(code in _PASSING for code in failures):
            return ExitCode.STOPPED
        # A node that lost its peer, or that we stopped for it, only says that another one failed.
        return next((code for code in failures if code not in _PASSING), failures[0])

    @property
    def culprit(self) -> int:
        """The node whose failure the verdict is."""
        return next((rank for rank, code in self.codes.items() if code and _exit_code(code) == self.verdict), 0)


_PASSING: Final = (ExitCode.TRANSIENT, ExitCode.STOPPED)


def _exit_code(code: int) -> int:
    # Killed from outside, by the kernel for want of memory for one: running again goes on from the checkpoint.
    return ExitCode.TRANSIENT if code < 0 else code


def run(nodes: Sequence[Node], *, say: Callable[[str], None], lock: TextIO, patience: Patience | None = None) -> Ended:
    """Run node processes until the last has ended.

    Signals to end are passed on as one SIGTERM, upon which nodes save and end with 143; a second Ctrl-C soon
    after kills. When a node fails, the others get some time to find that out, and are then told to stop.

    Args:
        nodes: what to start.
        say: takes sentences for the user.
        lock: an open file that every node inherits, so that a lock on it lasts as long as any node. It gets
            their process numbers, by which a user can end them if this process is gone.
        patience: how long each wait may last.
    """
    watch = _Watch(say=say, patience=patience or Patience())
    with _signals(watch.events), ExitStack() as stack:
        # Killed last, whatever happens here, so that no training is left behind unseen.
        stack.callback(watch.kill)
        for node in nodes:
            watch.start(node, lock.fileno())
        watch.listen()
        lock.write(" ".join(str(process.pid) for process in watch.alive.values()))
        lock.flush()
        return watch.until_all_ended()


class _Watch:
    """What is known about the nodes while they run."""

    def __init__(self, *, say: Callable[[str], None], patience: Patience) -> None:
        self.say = say
        self.patience = patience
        self.events: queue.SimpleQueue[tuple[str, int, int]] = queue.SimpleQueue()
        self.alive: dict[int, subprocess.Popen[bytes]] = {}
        self.ended = Ended()
        self.stop_at: float | None = None
        self.kill_at: float | None = None
        self.last_signal = float("-inf")

    def start(self, node: Node, lock: int) -> None:
        # Workers have no keys, and must not find ours.
        hide()
        with ExitStack() as stack:
            output = stack.enter_context(node.output.open("ab")) if node.output else 2
            process = subprocess.Popen(
                node.command,
                env={**os.environ, **node.environment},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                pass_fds=[lock],
                # Ctrl-C goes to this process only, which passes on a SIGTERM.
                start_new_session=True,
                preexec_fn=_end_with_parent,
            )
        self.alive[node.rank] = process

    def listen(self) -> None:
        """Wait for each end in a thread; only now, since starting a process beside threads is not safe."""
        for rank, process in self.alive.items():
            threading.Thread(target=self._report, args=(rank, process), daemon=True).start()

    def _report(self, rank: int, process: "subprocess.Popen[bytes]") -> None:
        self.events.put(("ended", rank, process.wait()))

    def until_all_ended(self) -> Ended:
        while self.alive:
            deadlines = [at for at in (self.stop_at, self.kill_at) if at is not None]
            wait = max(0.0, min(deadlines) - time.monotonic()) if deadlines else None
            try:
                what, number, code = self.events.get(timeout=wait)
            except queue.Empty:
                self._deadline()
                continue
            if what == "ended":
                self._ended(number, code)
            else:
                self._signal(number)
        return self.ended

    def _ended(self, rank: int, code: int) -> None:
        del self.alive[rank]
        self.ended.codes[rank] = code
        if (code or rank == 0) and self.alive and self.stop_at is None and self.kill_at is None:
            self.stop_at = time.monotonic() + self.patience.peers

    def _deadline(self) -> None:
        if self.kill_at is not None and time.monotonic() >= self.kill_at:
            self.say(f"{self._names()} did not stop within {self.patience.stop:.0f} s: killed.")
            self.kill()
            self.kill_at = None
        elif self.stop_at is not None:
            self.say(f"Another node ended: stopping {self._names()}.")
            self.terminate()

    def _signal(self, number: int) -> None:
        now = time.monotonic()
        if self.ended.stopped and number == signal.SIGINT and now - self.last_signal < self.patience.again:
            self.say("Killed. Run the same job file again to continue from the last checkpoint.")
            self.kill()
        elif not self.ended.stopped or number == signal.SIGINT:
            self.say(
                f"Stopping after a checkpoint. Press Ctrl-C twice within {self.patience.again:.0f} s to kill the run."
            )
        if not self.ended.stopped:
            self.ended.stopped = True
            self.terminate()
        self.last_signal = now if number == signal.SIGINT else self.last_signal

    def terminate(self) -> None:
        self.stop_at = None
        self.kill_at = time.monotonic() + self.patience.stop
        for process in self.alive.values():
            process.terminate()

    def kill(self) -> None:
        """Kill what is left, the workers of a node with it."""
        for process in self.alive.values():
            if process.poll() is None:
                # The thread that waits for its end may have taken note of it just now.
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)

    def _names(self) -> str:
        return ", ".join(f"node {rank}" for rank in self.alive)


_LIBC: Final = ctypes.CDLL(None)
_PR_SET_PDEATHSIG: Final = 1


def _end_with_parent() -> None:
    """Let the kernel send SIGTERM when `ocrfleet run` is killed, so that no training goes on unseen. Linux only."""
    if sys.platform == "linux":
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


@contextmanager
def _signals(events: "queue.SimpleQueue[tuple[str, int, int]]") -> Iterator[None]:
    """Turn signals into events; only the main thread may, so others leave them as they are."""

    def handle(number: int, frame: FrameType | None) -> None:
        events.put(("signal", number, 0))

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    numbers = [signal.SIGINT, signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # as nohup sets it
        numbers.append(signal.SIGHUP)
    before = {number: signal.signal(number, handle) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
