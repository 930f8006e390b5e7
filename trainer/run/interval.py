"""When something that happens every so often is due: by epochs, by steps or by the clock."""

import time
from collections.abc import Callable

from trainer.run.spec import seconds


class Due:
    """Whether something that happens every so often is due; rank 0's clock decides for all."""

    def __init__(self, every: str, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._epochs = self._steps = self._seconds = 0
        if every.endswith("ep"):
            self._epochs = int(every[:-2])
        elif every.endswith("steps"):
            self._steps = int(every[:-5])
        else:
            self._seconds = seconds(every)
        self._clock = clock
        self._last = clock()

    @property
    def by_clock(self) -> bool:
        """Whether the clock decides, so that another rank or another attempt may decide otherwise."""
        return self._seconds > 0

    def at(self, step: int, *, epochs: int | None) -> bool:
        """Whether it is due.

        Args:
            step: steps of the run so far.
            epochs: whole epochs so far; None in the middle of one.
        """
        if self._steps:
            return step % self._steps == 0
        if self._epochs:
            return epochs is not None and epochs % self._epochs == 0
        return self._clock() - self._last >= self._seconds

    def done(self) -> None:
        """Start the interval anew."""
        self._last = self._clock()
