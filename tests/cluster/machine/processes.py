"""Start programs that go on when we leave, and find and end them again."""

import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from tests.cluster.machine.layout import LOGS, MARK, STATE

_STARTED: list[subprocess.Popen[bytes]] = []
"""Those that this very process has started, which has to collect them when they have ended."""


class ClusterError(Exception):
    """The cluster can't be had; the text says why, and what to do."""


def say(text: str) -> None:
    """Tell the developer how far it is."""
    print(text, file=sys.stderr, flush=True)


def run(command: Sequence[str | Path], *, deadline: float = 60, given: str | None = None, quiet: bool = False) -> str:
    """Run a program to its end and give what it printed.

    Args:
        command: program and arguments.
        deadline: seconds it gets.
        given: its standard input.
        quiet: its failure is no error.

    Raises:
        ClusterError: it failed.
    """
    try:
        done = subprocess.run(
            [str(part) for part in command], input=given, capture_output=True, text=True, timeout=deadline, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise ClusterError(f"`{_shown(command)}` did not end within {deadline:.0f} s.") from error
    except FileNotFoundError as error:
        raise ClusterError(f"`{command[0]}` is not there.") from error
    if done.returncode and not quiet:
        raise ClusterError(f"`{_shown(command)}` failed ({done.returncode}):\n{done.stderr.strip()[-2000:]}")
    return done.stdout


def _shown(command: Sequence[str | Path]) -> str:
    return " ".join(str(part) for part in command)[:300]


def start(
    name: str,
    command: Sequence[str | Path],
    *,
    environment: Mapping[str, str] | None = None,
    stdin: int = subprocess.DEVNULL,
) -> subprocess.Popen[bytes]:
    """Start a program of the cluster, with a log of its name.

    Args:
        name: what its log is called.
        command: program and arguments.
        environment: variables beside PATH, HOME and the mark.
        stdin: as for `subprocess.Popen`.
    """
    LOGS.mkdir(parents=True, exist_ok=True)
    with (LOGS / f"{name}.log").open("ab") as log:
        process = subprocess.Popen(
            [str(part) for part in command],
            stdin=stdin,
            stdout=log,
            stderr=subprocess.STDOUT,
            cwd=STATE,
            env={
                "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
                "HOME": str(STATE),
                MARK: str(STATE),
                **(environment or {}),
            },
            start_new_session=True,
        )
    _STARTED.append(process)
    return process


def wait_until(what: str, true: Callable[[], bool], *, process: subprocess.Popen[bytes], deadline: float = 60) -> None:
    """Ask until something is true that tells nobody when it becomes so.

    Args:
        what: what is awaited, for the message.
        true: asks.
        process: the program whose end makes waiting useless.
        deadline: seconds until that is an error.

    Raises:
        ClusterError: the program ended, or time is over.
    """
    until = time.monotonic() + deadline
    while not true():
        with suppress(subprocess.TimeoutExpired):
            code = process.wait(0.1)
            raise ClusterError(f"Waiting until {what}: the program ended with {code}. Logs: {LOGS}")
        if time.monotonic() > until:
            raise ClusterError(f"Not so after {deadline:.0f} s: {what}. Logs: {LOGS}")


def ours() -> Iterator[int]:
    """Give each process on this machine that bears the cluster's mark, those inside nodes too."""
    mark = f"{MARK}={STATE}".encode()
    for entry in Path("/proc").iterdir():
        with suppress(OSError):
            if entry.name.isdigit() and mark in (entry / "environ").read_bytes().split(b"\0"):
                yield int(entry.name)


def name_of(pid: int) -> str:
    """Give a program's name as the kernel knows it, in at most 15 characters; empty when it has ended."""
    try:
        return Path(f"/proc/{pid}/comm").read_text("utf-8").strip()
    except OSError:
        return ""


def end_all(*, deadline: float = 30) -> None:
    """End all of them at once: nothing of the cluster's state is kept.

    Raises:
        ClusterError: some are still there after the deadline.
    """
    until = time.monotonic() + deadline
    while found := sorted(set(ours()) - {os.getpid()}):
        for pid in found:  # all at once, or some would start others again
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for pid in found:
            end(pid, deadline=until - time.monotonic())
        if time.monotonic() > until:
            raise ClusterError(f"These processes do not end: {found}")
    while _STARTED:
        _STARTED.pop().wait(deadline)


def end(pid: int, *, deadline: float = 30) -> None:
    """Kill a process and wait until it is gone; of the first one of a namespace, until all in it are."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        select.select([descriptor], [], [], max(0.0, deadline))
    finally:
        os.close(descriptor)
