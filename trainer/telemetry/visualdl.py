"""Training curves as VisualDL logs, where the user has installed `visualdl`. The only module that imports it.

VisualDL is PaddlePaddle's viewer of curves. The logs lie beside those of the workers, one folder an attempt, which it
shows as one curve each: `visualdl --logdir <run's folder>/logs`. Tags are spelled as PaddleOCR's own training does.
"""

import importlib
import importlib.util
import logging
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from trainer.telemetry.events import Evaluated, Event, Step

log = logging.getLogger(__name__)


class Scalars:
    """Writes what rank 0 tells; whatever is wrong with VisualDL ends its logs, and never the run."""

    def __init__(self, folder: Callable[[], Path], *, world: int, say: Callable[[str], None]) -> None:
        """Take note of where to write; nothing is imported or made before the first number.

        Args:
            folder: gives the folder of the attempt.
            world: number of workers; all see as many samples.
            say: tells the user.
        """
        self._folder = folder
        self._world = world
        self._say = say
        self._writer: Any = None
        self._wanted = importlib.util.find_spec("visualdl") is not None

    def hear(self, event: Event) -> None:
        """Write an event of rank 0; events without a curve are ignored."""
        if not (self._wanted and event.rank == 0 and isinstance(event, Step | Evaluated)):
            return
        values, step = _values(event, world=self._world), event.step
        self._guarded(lambda: self._write(values, step=step))

    def close(self) -> None:
        """Have all that was told written; a number that comes later opens the attempt's log of then."""
        writer, self._writer = self._writer, None
        if writer is not None:
            self._guarded(writer.close)

    def _write(self, values: Mapping[str, float], *, step: int) -> None:
        if self._writer is None:
            self._writer = importlib.import_module("visualdl").LogWriter(logdir=str(self._folder()))
        for tag, value in values.items():
            self._writer.add_scalar(tag=tag, value=value, step=step)

    def _guarded(self, deed: Callable[[], None]) -> None:
        try:
            deed()
        # An add-on that the user brought may raise anything; curves are not worth a run.
        except Exception as error:
            log.warning("VisualDL failed.", exc_info=error)
            self._wanted, self._writer = False, None
            self._say(
                f"VisualDL failed, so no more VisualDL logs are written: {type(error).__name__}: {error}. Training "
                "continues. Fix or uninstall the package `visualdl`."
            )


def _values(event: Step | Evaluated, *, world: int) -> dict[str, float]:
    """Return the numbers of an event by their tags."""
    if isinstance(event, Evaluated):
        return {f"EVAL/{name}": _number(value) for name, value in event.metrics.items()}
    speed = event.samples * world / max(event.seconds, 1e-6)
    numbers = {**event.loss, "lr": event.lr, "samples_per_second": speed}
    return {f"TRAIN/{name}": _number(value) for name, value in numbers.items()}


def _number(value: float | None) -> float:
    return math.nan if value is None else value
