"""A run's progress until its end, as lines: for `ocrfleet watch` and `submit --watch`."""

import os
import sys
from contextlib import closing
from typing import Final, TextIO

from jobs.commands import show
from jobs.engines import runfile
from jobs.engines.status import Phase, Status
from jobs.kube.client import Cluster
from jobs.kube.objects import Object
from jobs.runs import watch
from trainer.formats.printable import in_one_line, printable, raw
from trainer.telemetry.lines import Line

INTERRUPTED: Final = 130
"""The exit code of kubectl at Ctrl-C. It is none of the run's codes, since the run has not ended."""


def follow(
    cluster: Cluster, workload: Object, *, run: str, timeout: float | None = None, stream: TextIO | None = None
) -> int:
    """Print a run's progress until its end, and return its exit code.

    Args:
        cluster: where it is.
        workload: its object.
        run: its id.
        timeout: seconds; None: until its end.
        stream: where to print; None: stdout.
    """
    code = 0
    try:
        with closing(Screen(stream or sys.stdout)) as screen:
            for seen in watch.Watching(cluster, workload, timeout=timeout).seen():
                if isinstance(seen, Status):
                    code = watch.exit_code(seen)
                    screen.line(sentence(seen, workload))
                elif isinstance(seen, Line):
                    screen.logged(seen)
                else:
                    screen.line(seen.text)
    except KeyboardInterrupt:
        words = f"{run} continues. To watch it again: `ocrfleet watch {run}`. To stop it: `ocrfleet stop {run}`."
        show.say(show.wrapped(words, sys.stderr))
        return INTERRUPTED
    return code


def sentence(status: Status, workload: Object) -> str:
    """Describe the status of a run, and where its published model is."""
    if status.phase is not Phase.SUCCEEDED:
        return f"{status.run} is {status.phase}. {status.reason}".rstrip()
    output = runfile.output(workload)
    where = f" See `ocrfleet models show {output}#{status.run}`." if output else ""
    return f"{status.run} is done: its model is published.{where}"


class Screen:
    """Prints lines. On a terminal, each line of progress overwrites the one before."""

    def __init__(self, stream: TextIO) -> None:
        """Detect whether the stream is a terminal."""
        self._stream = raw(stream)
        self._terminal = show.width_of(stream) is not None and os.environ.get("TERM") != "dumb"
        self._standing = ""

    def line(self, text: str) -> None:
        """Print a line above the progress."""
        clear = "\r\033[K" if self._standing else ""
        self._write(f"{clear}{printable(show.wrapped(text, self._stream))}\n{self._standing}")

    def logged(self, line: Line) -> None:
        """Print a line of the leader's log."""
        if self._terminal and line.percent is not None:
            # A terminal that is as wide as its text may wrap it.
            room = (show.width_of(self._stream) or 80) - 1
            shown = in_one_line(str(line))
            self._standing = shown if len(shown) <= room else f"{shown[: room - 1]}…"
            self._write(f"\r\033[K{self._standing}")
            return
        if line.turn:
            self.close()
        self.line(str(line))

    def close(self) -> None:
        """Remove the progress."""
        if self._standing:
            self._write("\r\033[K")
            self._standing = ""

    def _write(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()
