"""Progress of downloads and of reading, to stderr."""

import sys

from trainer.formats.printable import raw
from trainer.telemetry.callbacks import OnProgress

try:
    from trainer.telemetry.console import Console
    from trainer.telemetry.events import Progressed
except ModuleNotFoundError:  # its packages come with the trainer's
    Console = None  # type: ignore[assignment, misc]


def transfer(what: str) -> OnProgress | None:
    """Return a function that shows how many bytes have been transferred; None without the trainer's packages."""
    return _shown(what, "bytes")


def count(what: str, unit: str) -> OnProgress | None:
    """Return a function that shows how many of something are done; None without the trainer's packages."""
    return _shown(what, unit)


def _shown(what: str, unit: str) -> OnProgress | None:
    if Console is None:
        return None
    console = Console(raw(sys.stderr))
    return lambda done, total: console.hear(Progressed(what=what, done=done, total=total, unit=unit))
