"""What happens when a loss or a weight is not finite: which batches are skipped, and when the run ends."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from trainer.datasets.prepared import Sample
from trainer.errors import DivergedError
from trainer.ppocr.divergence import GoBackError, Guard
from trainer.ppocr.order import Batch
from trainer.ppocr.progress import Progress

NAN = float("nan")


def a_guard(*, progress: Progress | None = None, checkpoint: int = 0, finite: bool = True, worst: int = 0) -> Guard:
    """Make a guard of a run with the checkpoint of a step; `worst` is what the other rank gives."""
    samples = [Sample(image=Path("x.png"), label="x", source=f"rec.txt:{n}", width=1, height=1) for n in range(40)]
    return Guard(
        progress=progress or Progress(),
        samples=samples,
        read=lambda losses: [float(loss) for loss in losses],
        finite=lambda: finite,
        largest=lambda values: [max(value, worst) for value in values],
        checkpoint=lambda: checkpoint,
    )


def watch(guard: Guard, losses: Sequence[float], *, after: int = 0) -> None:
    """Let the guard see steps of these losses; step n has the samples 2n and 2n + 1."""
    for step, loss in enumerate(losses, start=after + 1):
        batch = Batch(epoch=1, part=0, place=step - 1, samples=np.array([2 * step, 2 * step + 1]))
        guard.watch(step, batch, loss)
        guard.progress.count_steps(1)


def test_the_first_bad_loss_and_the_batch_before_it_are_skipped() -> None:
    guard = a_guard()
    watch(guard, [1.0, 1.0, NAN, NAN])
    with pytest.raises(GoBackError) as raised:
        guard.check_losses(guard.look())
    why = "The loss of step 3 is not finite"
    assert str(raised.value).startswith(f"{why}. Going back to the checkpoint of step 0.")
    assert raised.value.skipped == [
        {"epoch": 1, "part": 0, "place": 1, "step": 2, "samples": ["rec.txt:4", "rec.txt:5"], "reason": why},
        {"epoch": 1, "part": 0, "place": 2, "step": 3, "samples": ["rec.txt:6", "rec.txt:7"], "reason": why},
    ]


@pytest.mark.parametrize("loss", [float("inf"), -float("inf"), NAN])
def test_whatever_is_not_finite_is_bad(loss: float) -> None:
    guard = a_guard()
    watch(guard, [1.0, loss])
    assert guard.look()


def test_of_two_ranks_the_earlier_bad_step_counts() -> None:
    mine, theirs = a_guard(), a_guard()
    watch(mine, [1.0, 1.0, 1.0, NAN])
    watch(theirs, [1.0, NAN, 1.0, 1.0])
    found = max(mine.look(), theirs.look())
    for guard in (mine, theirs):
        with pytest.raises(GoBackError, match="The loss of step 2 is not finite"):
            guard.check_losses(found)


def test_finite_losses_are_read_once() -> None:
    """And the batch of the last step is still known when the next loss is bad."""
    guard = a_guard()
    watch(guard, [1.0, 2.0])
    assert guard.look() == 0
    guard.check_losses(0)
    watch(guard, [NAN], after=2)
    read: list[float] = []
    guard.read = lambda losses: read.extend(losses) or losses  # type: ignore[func-returns-value]
    found = guard.look()
    assert len(read) == 1
    with pytest.raises(GoBackError) as raised:
        guard.check_losses(found)
    assert [entry["step"] for entry in raised.value.skipped] == [2, 3]


def test_a_batch_before_the_checkpoint_is_not_skipped() -> None:
    """Its update is in the checkpoint, whose weights are finite."""
    guard = a_guard(checkpoint=1)
    watch(guard, [1.0, NAN])
    with pytest.raises(GoBackError) as raised:
        guard.check_losses(guard.look())
    assert [entry["step"] for entry in raised.value.skipped] == [2]
    assert "Going back to the checkpoint of step 1. Skipping from now on: step 2 with rec.txt:4, rec.txt:5. If" in str(
        raised.value
    )


@pytest.mark.parametrize(("count", "more"), [(5, ""), (8, " and 3 more")])
def test_five_samples_are_named_and_the_others_counted(count: int, more: str) -> None:
    guard = a_guard()
    guard.watch(1, Batch(epoch=1, part=0, place=0, samples=np.arange(count)), NAN)
    with pytest.raises(GoBackError, match=rf"step 1 with rec.txt:0, .*, rec.txt:4{more}\. If"):
        guard.check_losses(guard.look())


def test_weights_that_are_not_finite_cost_the_last_batch() -> None:
    guard = a_guard(finite=False)
    watch(guard, [1.0, 1.0])
    guard.check_losses(guard.look())
    with pytest.raises(GoBackError, match="The weights are not finite after step 2") as raised:
        guard.check_weights()
    assert [entry["step"] for entry in raised.value.skipped] == [2]


def test_the_weights_of_one_rank_are_enough() -> None:
    guard = a_guard(worst=1)
    watch(guard, [1.0])
    with pytest.raises(GoBackError):
        guard.check_weights()
    a_guard().check_weights()


def test_weights_that_were_never_finite_end_the_run() -> None:
    with pytest.raises(DivergedError, match="there is no batch before it to skip"):
        a_guard(finite=False).check_weights()


def test_the_second_time_ends_the_run() -> None:
    guard = a_guard(progress=Progress(skipped=[{"step": 7}]))
    watch(guard, [NAN])
    with pytest.raises(DivergedError, match=r"for the second time\. The first time was at step 7, whose batch is"):
        guard.check_losses(guard.look())
