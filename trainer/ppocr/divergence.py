"""Finds the step at which training diverged, and the batches that led to it. Paddle-free.

The first time, training goes back to the last checkpoint and skips those batches; the second time it ends.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NoReturn

from trainer.datasets.prepared import Sample
from trainer.errors import DivergedError
from trainer.ppocr.order import Batch
from trainer.ppocr.progress import Progress

_ADVICE: Final = "Lower Optimizer.lr.learning_rate in run.overrides, or start from pretrained weights."

_NAMED: Final = 5
"""Samples that the message names one by one; `training.json` has all."""

_LAST: Final = 2**62
"""Above any step."""


class GoBackError(Exception):
    """Training diverged for the first time: resume from the last checkpoint, without these batches."""

    def __init__(self, message: str, skipped: list[dict[str, Any]]) -> None:
        """Name the batches.

        Args:
            message: what happened, for the user.
            skipped: entries of `Progress.skipped`.
        """
        super().__init__(message)
        self.skipped = skipped


@dataclass(kw_only=True)
class Guard:
    """Watches the steps since the last look. All ranks call its checks together, and so raise together."""

    progress: Progress
    samples: Sequence[Sample]
    """Of the training set."""

    read: Callable[[Sequence[Any]], Sequence[float]]
    """Returns losses as numbers. On a GPU this waits for the device."""

    finite: Callable[[], bool]
    """Whether every weight of this rank is finite."""

    largest: Callable[[Sequence[int]], Sequence[int]]
    """Returns the largest of each value over the ranks."""

    checkpoint: Callable[[], int]
    """Returns the step of the last checkpoint, the same on every rank."""

    _unread: dict[int, Any] = field(default_factory=dict)
    _batches: dict[int, Batch] = field(default_factory=dict)

    def watch(self, step: int, batch: Batch, loss: Any) -> None:
        """Record a finished step. Its loss is not read yet: on a GPU that would wait for the device."""
        self._unread[step] = loss
        self._batches[step] = batch

    def look(self) -> int:
        """Read the losses since the last look, all at once.

        Returns:
            0 if all are finite. Otherwise a number that is the larger the earlier the first bad step is, so that the
            largest over the ranks is the first of all.
        """
        losses = self.read(list(self._unread.values()))
        bad = [step for step, loss in zip(self._unread, losses, strict=True) if not math.isfinite(loss)]
        return _LAST - bad[0] if bad else 0

    def check_losses(self, found: int) -> None:
        """Check that the losses of the steps since the last look are finite.

        Args:
            found: the largest result of `look` over the ranks.

        Raises:
            GoBackError: one is not. The batch before is skipped too: its loss was finite, but its update may have done
                the damage.
            DivergedError: the same, for the second time.
        """
        if found:
            first = _LAST - found
            self._go_back([first - 1, first], f"The loss of step {first} is not finite")
        self._unread.clear()
        # The last step's batch may still be left out: for its weights, or for the loss of the next.
        last = max(self._batches)
        self._batches = {last: self._batches[last]}

    def check_weights(self) -> None:
        """Check that the weights are finite before they are saved or used: a finite loss may have a NaN gradient.

        Raises:
            GoBackError: one is not.
            DivergedError: the same, for the second time.
        """
        if any(self.largest([not self.finite()])):
            step = self.progress.step
            self._go_back([step], f"The weights are not finite after step {step}")

    def _go_back(self, steps: Sequence[int], why: str) -> NoReturn:
        back_to = self.checkpoint()
        skipped = [self._entry(step, why) for step in steps if step > back_to and step in self._batches]
        if self.progress.skipped:
            before = self.progress.skipped[-1]["step"]
            raise DivergedError(
                f"{why}, for the second time. The first time was at step {before}, whose batch is skipped. {_ADVICE}"
            )
        if not skipped:
            raise DivergedError(f"{why}, and there is no batch before it to skip. {_ADVICE}")
        names = [name for entry in skipped for name in entry["samples"]]
        more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
        raise GoBackError(
            f"{why}. Going back to the checkpoint of step {back_to}. Skipping from now on: step "
            f"{' and '.join(str(entry['step']) for entry in skipped)} with {', '.join(names[:_NAMED])}{more}. "
            f"If it happens again, the run ends. {_ADVICE}",
            skipped,
        )

    def _entry(self, step: int, why: str) -> dict[str, Any]:
        batch = self._batches[step]
        return {
            "epoch": batch.epoch,
            "part": batch.part,
            "place": batch.place,
            "step": step,
            "samples": [self.samples[i].source for i in batch.samples],
            "reason": why,
        }
