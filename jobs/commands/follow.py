"""A run's progress until its end, as lines: for `ocrfleet watch` and `submit --watch`."""

import os
import sys
from typing import Final, TextIO

from jobs.commands import show
from jobs.engines.status import Status
from jobs.kube.client import Cluster
from jobs.kube.fields import run_of
from jobs.kube.objects import Object
from jobs.runs import progress_lines, watch

INTERRUPTED: Final = 130
"""The exit code of kubectl at Ctrl-C. It is none of the run's codes, since the run has not ended."""


def follow(cluster: Cluster, workload: Object, *, timeout: float | None = None, stream: TextIO | None = None) -> int:
    """Print a run's progress until its end, and return its exit code.

    Args:
        cluster: where it is.
        workload: its object.
        timeout: seconds; None: until its end.
        stream: where to print; None: stdout.
    """
    screen = Screen(stream or sys.stdout)
    code = 0
    try:
        for seen in watch.Watching(cluster, workload, timeout=timeout).seen():
            if isinstance(seen, Status):
                code = watch.exit_code(seen)
                screen.line(watch.sentence(seen, workload))
            elif isinstance(seen, watch.Said):
                screen.said(seen.text)
            else:
                screen.line(seen.text)
    except KeyboardInterrupt:
        screen.close()
        name = run_of(workload)
        words = f"{name} continues. To watch it again: `ocrfleet watch {name}`. To stop it: `ocrfleet stop {name}`."
        show.say(show.wrapped(words, sys.stderr))
        return INTERRUPTED
    finally:
        screen.close()
    return code


class Screen:
    """Prints lines. On a terminal, each line of progress overwrites the one before."""

    def __init__(self, stream: TextIO) -> None:
        """Detect whether the stream is a terminal."""
        self._stream = stream
        self._terminal = show.width_of(stream) is not None and os.environ.get("TERM") != "dumb"
        self._standing = ""

    def line(self, text: str) -> None:
        """Print a line above the progress."""
        self._above(text)

    def said(self, text: str) -> None:
        """Print a line of the leader's log."""
        if self._terminal and (progress := progress_lines.progress(text)):
            # A terminal that is as wide as its text may wrap it.
            self._standing = progress.fitted((show.width_of(self._stream) or 80) - 1)
            self._write(f"\r\033[K{self._standing}")
            return
        if progress_lines.turns(text):
            self.close()
        self._above(text)

    def close(self) -> None:
        """Remove the progress."""
        if self._standing:
            self._write("\r\033[K")
            self._standing = ""

    def _above(self, text: str) -> None:
        clear = "\r\033[K" if self._standing else ""
        self._write(f"{clear}{show.wrapped(text, self._stream)}\n{self._standing}")

    def _write(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()
