"""`ocrfleet watch`, which `submit --watch` is, too."""

import argparse
import os
import sys
from typing import TYPE_CHECKING, Final, TextIO

from jobs.commands import options, show

if TYPE_CHECKING:
    from jobs.kube.client import Cluster
    from jobs.kube.objects import Object

INTERRUPTED: Final = 130
"""The exit code of kubectl at Ctrl-C. It is none of the run's codes, since the run has not ended."""


def add(commands: options.Commands) -> None:
    """Add the command to the parser."""
    parser = options.command(
        commands,
        "watch",
        run=run,
        summary="follow a run and exit with its exit code",
        text="Print a run's phase and reason each time that they change, and the stages, steps, losses and metrics "
        "that its leader logs. On a terminal, progress is shown in one line. Watching continues when pods are "
        "lost or the API server restarts. The exit code is the run's own: 0 when its model is published. Ctrl-C "
        "(130) and --timeout (75) end only the watching; the run continues.",
        examples="ocrfleet watch slips-rec-1a2b3c4d\n"
        "ocrfleet watch slips-rec                     # the newest run of that name\n"
        "ocrfleet watch slips-rec --timeout 2h        # at most two hours",
    )
    options.run_name(parser)
    options.cluster(parser)


def run(arguments: argparse.Namespace) -> int:
    """Watch a run."""
    cluster = options.connect(arguments)
    from jobs.runs import find

    return follow(cluster, find.find(cluster, arguments.name), timeout=arguments.timeout)


def follow(
    cluster: "Cluster", workload: "Object", *, timeout: float | None = None, stream: TextIO | None = None
) -> int:
    """Print a run's progress until its end, and return its exit code.

    Args:
        cluster: where it is.
        workload: its object.
        timeout: seconds; None: until its end.
        stream: where to print; None: stdout.
    """
    from jobs.engines.status import Status
    from jobs.kube.fields import run_of
    from jobs.runs import watch

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
        from jobs.runs import progress_lines

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
