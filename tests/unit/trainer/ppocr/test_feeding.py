"""What limited the speed of training, in words and in cores."""

import pytest

from trainer.ppocr.feeding import Feeding, slowest


def fed(*, waited: float, busy: float, readers: int = 2, seconds: float = 100.0, rank: int = 0) -> Feeding:
    return Feeding(rank=rank, readers=readers, seconds=seconds, waited=waited, busy=busy)


@pytest.mark.parametrize(
    ("readers", "waited", "busy", "more"),
    [
        # Two busy readers feed a device that could work twice as fast.
        (2, 50.0, 200.0, 2),
        (2, 50.0, 201.0, 3),
        (8, 80.0, 800.0, 32),
        # Not quite busy, as where the worker itself takes a part of their cores.
        (1, 40.0, 55.0, 1),
        # A thread of the worker is no core of its own.
        (0, 50.0, 100.0, 2),
        # They kept up, or something else than cores was lacking.
        (2, 4.0, 200.0, 0),
        (2, 50.0, 20.0, 0),
    ],
)
def test_the_cores_are_those_that_make_samples_as_fast_as_a_device_takes_them(
    readers: int, waited: float, busy: float, more: int
) -> None:
    assert fed(readers=readers, waited=waited, busy=busy).more == more


@pytest.mark.parametrize(
    ("feeding", "world", "says"),
    [
        (fed(waited=1.0, busy=50.0), 1, "The readers kept up: the device waited 1 % of the time for samples."),
        (
            fed(waited=50.0, busy=200.0),
            1,
            "The device waited 50 % of the time for samples: 2 more reader cores would feed it.",
        ),
        (
            fed(waited=30.0, busy=90.0, readers=1),
            1,
            "The device waited 30 % of the time for samples: 1 more reader core would feed it.",
        ),
        (
            fed(waited=50.0, busy=200.0, rank=3),
            8,
            "The device of rank 3, which waited longest, waited 50 % of the time for samples: 2 more reader cores for "
            "each device would feed it.",
        ),
        (
            fed(waited=50.0, busy=20.0),
            1,
            "The device waited 50 % of the time for samples, though the readers' cores were not busy. Look for a slow "
            "disk, or for other work on these cores.",
        ),
    ],
    ids=["kept up", "cores", "one core", "a gang", "no cores"],
)
def test_what_limits_the_speed_is_said_in_a_sentence(feeding: Feeding, world: int, says: str) -> None:
    assert feeding.sentence(world=world) == says


def test_of_a_gang_the_rank_that_waited_longest_counts() -> None:
    """At each step all others wait for it, whatever their own readers do."""
    ranks = [fed(waited=1.0, busy=1.0), fed(waited=9.0, busy=1.0, rank=1), fed(waited=3.0, busy=1.0, rank=2)]
    assert slowest(ranks) == ranks[1]


def test_a_worker_without_a_step_has_waited_for_nothing() -> None:
    assert fed(seconds=0.0, waited=0.0, busy=0.0).share == 0.0
