"""Progress of downloads and of reading, to stderr."""

import sys

from trainer.telemetry.callbacks import OnProgress

try:
    from trainer.telemetry.progress import Progress
except ModuleNotFoundError:  # its packages come with the trainer's
    Progress = None  # type: ignore[assignment, misc]


def transfer(what: str) -> OnProgress | None:
    """Return a function that shows how many bytes have been transferred; None without the trainer's packages."""
    if Progress is None:
        return None
    shown = Progress(sys.stderr)
    return lambda done, total: shown.transfer(what, done, total)


def count(what: str, unit: str) -> OnProgress | None:
    """Return a function that shows how many of something are done; None without the trainer's packages."""
    if Progress is None:
        return None
    shown = Progress(sys.stderr)

    def move(done: int, total: int) -> None:
        shown.show({"event": "progress", "rank": 0, "what": what, "done": done, "total": total, "unit": unit})

    return move
