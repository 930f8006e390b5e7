"""How far training is: all of it is in a checkpoint, as `checkpoint.json`. Paddle-free."""

from dataclasses import dataclass, field
from typing import Any


@dataclass
class Progress:
    """Where training stands."""

    step: int = 0
    """Optimizer steps done."""

    epoch: int = 1
    """The epoch under way, from 1."""

    step_in_epoch: int = 0
    """Steps done in it, by a gang of this size."""

    step_size: int = 0
    """Samples in a step of the gang."""

    taken: list[tuple[int, int]] = field(default_factory=list)
    """What gangs of another size did of the epoch before: samples in a step, and steps."""

    samples: int = 0
    """Samples trained on, over all ranks."""

    seconds: float = 0.0
    """Time spent training, over all attempts."""

    best: dict[str, Any] | None = None
    """`{"step", "epoch", "metrics"}` of the best evaluation; in a distillation also its `network`."""

    losses: list[dict[str, Any]] = field(default_factory=list)
    """History of the loss."""

    evaluations: list[dict[str, Any]] = field(default_factory=list)
    """History of the evaluations."""

    refused: dict[str, str] = field(default_factory=dict)
    """Samples that could not be used, by their place: why. Of this rank; a checkpoint has all ranks'."""

    starts: dict[str, str] = field(default_factory=dict)
    """In a distillation: a digest of each network as it began."""

    networks: dict[str, dict[str, Any]] = field(default_factory=dict)
    """In a distillation: what is known of each network since the best evaluation; see `evaluate.about`."""

    distilled: bool = False
    """Whether the distillation is finished: what follows is one network by itself."""

    alone_since: int | None = None
    """The step after which one network trains by itself; `epoch` counts from there."""

    skipped: list[dict[str, Any]] = field(default_factory=list)
    """Batches left out since training diverged on them: `{"epoch", "part", "place", "step", "samples", "reason"}`."""

    @property
    def whole_epochs(self) -> int | None:
        """Epochs done; None in the middle of one."""
        return None if self.step_in_epoch or self.taken else self.epoch - 1

    @property
    def evaluated(self) -> int:
        """The step of the last evaluation; 0 before the first."""
        return int(self.evaluations[-1]["step"]) if self.evaluations else 0

    def count_steps(self, count: int) -> None:
        """Count steps as done."""
        self.step += count
        self.step_in_epoch += count

    def end_epoch(self) -> None:
        """Begin the next epoch."""
        self.epoch += 1
        self.step_in_epoch = 0
        self.taken = []
