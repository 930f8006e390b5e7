"""When something that happens every so often is due: by epochs, by steps or by the clock."""

import time
from collections.abc import Callable

from trainer.runspec import seconds


class Due:
    """Whether something that happens every so often is due; rank 0's clock decides for all."""

    def __init__(self, every: str, *, steps_per_epoch: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._steps = self._seconds = 0
        if every.endswith("ep"):
            self._steps = int(every[:-2]) * steps_per_epoch
        elif every.endswith("steps"):
            self._steps = int(every[:-5])
        else:
            self._seconds = seconds(every)
        self._clock = clock
        self._last = clock()

    @property
    def by_steps(self) -> bool:
        """Whether steps decide, so that every attempt decides alike."""
        return self._steps > 0

    def at(self, step: int) -> bool:
        """Whether it is due after `step` steps of the run."""
        if self._steps:
            return step % self._steps == 0
        return self._clock() - self._last >= self._seconds

    def done(self) -> None:
        """Start the interval anew."""
        self._last = self._clock()
