"""Whether the readers kept the device busy, and how many more cores would have. Paddle-free."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

_LITTLE: Final = 0.05
"""The part of the time that a device may wait without a remark."""


@dataclass(frozen=True, kw_only=True)
class Feeding:
    """How the device of one rank was fed since its worker started."""

    rank: int

    readers: int
    """Processes that read for it; 0: a thread of the worker."""

    seconds: float
    """That training took, without evaluations and checkpoints."""

    waited: float
    """Seconds of these in which the device had nothing to do, since no batch was ready."""

    busy: float
    """Seconds of processor time that it took to make the samples."""

    @property
    def share(self) -> float:
        """The part of the time that the device waited."""
        return self.waited / self.seconds if self.seconds else 0.0

    @property
    def more(self) -> int:
        """How many more cores would make samples as fast as the device takes them; 0: they would not help."""
        if self.share < _LITTLE or self.busy < 0.5 * self.seconds * max(1, self.readers):
            return 0
        # While it does not wait, the device takes what costs `busy` seconds in `seconds - waited`.
        needed = self.busy / max(self.seconds - self.waited, 1e-6)
        return max(1, math.ceil(needed - self.readers))

    def sentence(self, *, world: int) -> str:
        """Return a sentence on what limits the speed of training."""
        device = "device" if world == 1 else f"device of rank {self.rank}, which waited longest,"
        waited = f"{device} waited {100 * self.share:.0f} % of the time for samples"
        if self.share < _LITTLE:
            return f"The readers kept up: the {waited}."
        if not self.more:
            return (
                f"The {waited}, though the readers' cores were not busy. Look for a slow disk, or for other work on "
                "these cores."
            )
        cores = "core" if self.more == 1 else "cores"
        each = "" if world == 1 else " for each device"
        return f"The {waited}: {self.more} more reader {cores}{each} would feed it."

    def facts(self) -> dict[str, Any]:
        """Return what `training.json` has of it."""
        return {
            "rank": self.rank,
            "readers": self.readers,
            "seconds": round(self.seconds, 3),
            "reader_wait_seconds": round(self.waited, 3),
            "reader_cpu_seconds": round(self.busy, 3),
        }


def slowest(ranks: Iterable[Feeding]) -> Feeding:
    """Return that of the rank whose device waited longest: at each step all wait for it."""
    return max(ranks, key=lambda feeding: feeding.share)
