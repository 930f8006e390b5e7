"""Which samples make which batch of which rank: a function of the seed, the epoch and the gang's size alone.

Paddle-free. PaddleOCR shuffles lines of every width into one batch and squeezes or pads each to one width, or
(MultiScaleSampler) draws an order from the global generator, which no resume repeats. Here lines of like width
share a batch, in an order that any process can work out again.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Indexes = npt.NDArray[np.int64]
Item = tuple[int, int, int]
"""Epoch, index of the sample, and width of its batch in pixels (0: as the configuration says)."""
Part = tuple[int, int]
"""Samples in a step of the gang, and the steps that it did: how far another gang got in an epoch."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Batch:
    """The samples of one step of the whole gang, and its place in the run."""

    epoch: int
    """From 1."""

    part: int
    """How many gangs of another size did a part of this epoch before."""

    place: int
    """From 0, in this gang's part of the epoch."""

    samples: Indexes


@dataclass(frozen=True, kw_only=True)
class Order:
    """The batches of a training set."""

    count: int
    """Samples."""

    batch: int
    """Samples of a rank in a step."""

    world: int
    """Ranks."""

    seed: int

    drop_last: bool = False
    """Whether the samples that fill no whole step of the gang wait for another epoch."""

    widths: Sequence[int] | None = None
    """rec: pixels that each sample needs. None: batches are made without regard to it."""

    @property
    def steps(self) -> int:
        """Steps of an epoch that this gang does alone."""
        return _steps(self.count, self.batch * self.world, drop_last=self.drop_last)

    def steps_left(self, taken: Sequence[Part] = ()) -> int:
        """Count the steps of an epoch of which other gangs did a part."""
        rest = self.count - sum(size * steps for size, steps in taken)
        return _steps(max(0, rest), self.batch * self.world, drop_last=self.drop_last)

    def epoch(self, epoch: int, *, taken: Sequence[Part] = ()) -> list[Indexes]:
        """Return the samples of each step of the whole gang.

        Args:
            epoch: which, from 1.
            taken: what other gangs did of it; their samples are left out.

        Returns:
            One array of `batch` × `world` sample indexes a step. All steps are full: what is missing in the last
            is repeated.
        """
        rest = np.arange(self.count)
        for number, (size, steps) in enumerate(taken):
            done = self._cut(rest, size, epoch=epoch, number=number)[:steps]
            rest = np.setdiff1d(rest, np.concatenate(done)) if done else rest
        return self._cut(rest, self.batch * self.world, epoch=epoch, number=len(taken))

    def items(self, samples: Indexes, *, rank: int, epoch: int) -> list[Item]:
        """Return a rank's part of a step, as items of the training set."""
        own = samples[rank * self.batch : (rank + 1) * self.batch]
        width = 0 if self.widths is None else max(self.widths[i] for i in own)
        return [(epoch, int(i), width) for i in own]

    def _cut(self, samples: Indexes, size: int, *, epoch: int, number: int) -> list[Indexes]:
        steps = _steps(len(samples), size, drop_last=self.drop_last)
        if not steps:
            return []
        random = np.random.default_rng([self.seed, epoch, number])
        order = random.permutation(samples)[: steps * size]
        if self.widths is not None:
            # Among lines of one width the order stays random, so an epoch's batches are not those of the last.
            order = order[np.argsort(np.asarray(self.widths)[order], kind="stable")]
        missing = steps * size - len(order)
        # With widths the repeated ones are the widest, as the last batch is.
        order = np.concatenate([order, np.resize(order if self.widths is None else order[::-1], missing)])
        batches = np.split(order, steps)
        if self.widths is not None:
            # The widest batch first: what does not fit into the device's memory fails at once, not in an hour.
            batches = [batches[-1], *(batches[i] for i in random.permutation(steps - 1))]
        return batches


def _steps(count: int, size: int, *, drop_last: bool) -> int:
    whole, rest = divmod(count, size)
    return whole if drop_last or not rest else whole + 1
