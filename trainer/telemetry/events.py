"""What a worker tells its supervisor: one JSON object a line on an inherited pipe.

The words are: ready, step, eval, progress, checkpoint, notice, error, done. A `step` event stands for the
`count` steps since the one before; its samples and seconds are of all of them. Metrics and the progress display
read the same events, so what a user sees and what Prometheus scrapes cannot differ.
"""

import json
import os
from collections.abc import Iterator, Mapping
from typing import Any, TextIO

from trainer import contract

Event = Mapping[str, Any]


class Events:
    """The worker's end of the pipe; without a pipe (a stage run by hand) events are dropped."""

    def __init__(self, rank: int, stream: TextIO | None) -> None:
        self.rank = rank
        self._stream = stream

    @classmethod
    def from_environment(cls, rank: int) -> "Events":
        """Open the pipe that the supervisor handed down."""
        fd = os.environ.pop(contract.ENV_EVENTS_FD, None)
        # Reader processes must not hold the pipe open: the supervisor takes its end as the worker's.
        if fd is not None:
            os.set_inheritable(int(fd), False)
        return cls(rank, os.fdopen(int(fd), "w", encoding="utf-8") if fd is not None else None)

    def send(self, event: str, **fields: Any) -> None:
        """Send one event; a supervisor that is gone is not an error here, its end ends us."""
        if self._stream is None:
            return
        self._stream.write(json.dumps({"event": event, "rank": self.rank, **fields}) + "\n")
        self._stream.flush()


def read(stream: TextIO) -> Iterator[dict[str, Any]]:
    """Give the events of a pipe until its end; a line cut short by a killed worker is left out."""
    for line in stream:
        if line.endswith("\n"):
            yield json.loads(line)
