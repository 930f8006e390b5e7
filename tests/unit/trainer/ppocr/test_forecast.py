"""What a run will need, from what two small steps have shown."""

from dataclasses import replace

import pytest

from trainer.ppocr.forecast import EXTRAPOLATED, MARGIN, Measured, forecast

MEASURED = Measured(
    batch=8,
    measured=8,
    step_seconds=2.0,
    read_seconds=0.125,
    share=0.5,
    steps_per_epoch=10,
    epochs=4,
    evaluation_seconds=5.0,
    host_memory_bytes=100,
    checkpoint_bytes=10,
)


@pytest.mark.parametrize(
    ("every", "evaluations"), [("1ep", 4), ("3ep", 1), ("9ep", 1), ("15steps", 2), ("999steps", 1), ("16s", 2)]
)
def test_a_run_takes_its_steps_and_its_evaluations(every: str, evaluations: int) -> None:
    """40 steps of half the widest one's work, and one evaluation at least."""
    found = forecast(MEASURED, evaluate_every=every, readers=0, cores=2)
    assert found["run_seconds"] == pytest.approx(40 * 1.0 + evaluations * 5)


@pytest.mark.parametrize(
    ("readers", "cores", "step"),
    [(0, 1, 1 + 8 * 0.5), (0, 2, 8 * 0.5), (2, 2, 8 * 0.5 / 2), (8, 8, 1.0)],
    ids=["one core does both", "the reader's own core", "two readers", "enough readers"],
)
def test_a_step_waits_for_its_samples(readers: int, cores: int, step: float) -> None:
    slow = replace(MEASURED, read_seconds=0.5)
    found = forecast(slow, evaluate_every="9ep", readers=readers, cores=cores)
    assert found["run_seconds"] == pytest.approx(40 * step + 5)


def test_fewer_samples_than_a_batch_are_a_rougher_estimate() -> None:
    margins = [forecast(replace(MEASURED, measured=n), evaluate_every="1ep", readers=0, cores=1) for n in (8, 4)]
    assert [found["margin"] for found in margins] == [MARGIN, EXTRAPOLATED]


def test_on_a_gpu_it_says_how_many_readers_keep_up() -> None:
    on_gpu = replace(MEASURED, step_seconds=0.5, device_memory_bytes=7)
    assert forecast(on_gpu, evaluate_every="1ep", readers=1, cores=8)["readers"] == 4
    assert forecast(MEASURED, evaluate_every="1ep", readers=0, cores=8)["readers"] is None
