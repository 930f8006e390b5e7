"""Who reads as well as the worse side's best first, and when."""

import pytest

from benchmarks.time_to_accuracy import Point, Race, as_table


def points(*pairs: tuple[float, float]) -> list[Point]:
    return [Point(seconds=seconds, metric=metric) for seconds, metric in pairs]


def test_the_time_is_that_to_a_goal_that_both_have_reached() -> None:
    """The goal is 0.95 × 0.8; a later fall does not count."""
    ours = points((10, 0.5), (20, 0.77), (30, 0.9), (40, 0.7))
    theirs = points((25, 0.5), (50, 0.75), (75, 0.8))
    race = Race(seed=1, sides={"ocrfleet": ours, "PaddleOCR": theirs})
    assert race.goal == pytest.approx(0.76)
    assert (race.seconds("ocrfleet"), race.seconds("PaddleOCR")) == (20, 75)
    assert "| 1 | 0.760 | 20 | 75 | 3.75 | 0.900 | 0.800 |" in as_table([race], metric="acc")
