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
"""What kubectl ends with at Ctrl-C, too. The run's own codes say how that ended, and it has not."""


def add(commands: options.Commands) -> None:
    """Say the command's words."""
    parser = options.command(
        commands,
        "watch",
        run=run,
        summary="look at a run until it is over, and end as it does",
        text="Show where a run stands and why it waits, each time that this changes, and the stages, steps, losses and "
        "metrics that its leader writes; on a terminal the last progress stays in one line. It goes on through lost "
        "pods and a restart of the API server. The exit code is the run's own: 0 when its model is published. Ctrl-C "
        "ends the watching alone, with 130, and --timeout with 75: the run goes on.",
        examples="ocrfleet watch slips-rec-1a2b3c4d\n"
        "ocrfleet watch slips-rec                     # the newest run of that name\n"
        "ocrfleet watch slips-rec --timeout 2h        # no longer than that",
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
    """Show a run until it is over, and give its exit code.

    Args:
        cluster: where it is.
        workload: its object.
        timeout: seconds; None: until it is over.
        stream: where to show it; None: on stdout.
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
        words = f"{name} goes on. `ocrfleet watch {name}` looks at it again, `ocrfleet stop {name}` stops it."
        show.say(show.wrapped(words, sys.stderr))
        return INTERRUPTED
    finally:
        screen.close()
    return code


class Screen:
    """Lines; on a terminal the last one that says how far a stage is is written over by the next."""

    def __init__(self, stream: TextIO) -> None:
        """Look whether the stream is a terminal."""
        self._stream = stream
        self._terminal = show.width_of(stream) is not None and os.environ.get("TERM") != "dumb"
        self._standing = ""

    def line(self, text: str) -> None:
        """Write a line; progress goes on below it."""
        self._above(text)

    def said(self, text: str) -> None:
        """Write what a leader says."""
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
        """Take the progress away."""
        if self._standing:
            self._write("\r\033[K")
            self._standing = ""

    def _above(self, text: str) -> None:
        clear = "\r\033[K" if self._standing else ""
        self._write(f"{clear}{show.wrapped(text, self._stream)}\n{self._standing}")

    def _write(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()
