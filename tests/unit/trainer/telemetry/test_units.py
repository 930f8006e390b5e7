"""Times and sizes as people spell them."""

import pytest

from trainer.telemetry.units import duration, size


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        *((0.04, "0.0 s"), (9.9, "9.9 s"), (10, "10 s"), (59.4, "59 s"), (59.7, "1m00s"), (200, "3m20s")),
        *((3599, "59m59s"), (3600, "1h00m"), (7500, "2h05m"), (90_000, "25h00m")),
    ],
)
def test_times_are_spelt_as_people_do(seconds: float, words: str) -> None:
    assert duration(seconds) == words


@pytest.mark.parametrize(
    ("count", "words"),
    [
        *((812, "812 B"), (999, "999 B"), (1000, "1.0 kB"), (1e6, "1.0 MB"), (1_400_000, "1.4 MB")),
        *((3e9, "3.0 GB"), (1e12, "1.0 TB"), (2e12, "2.0 TB")),
    ],
)
def test_sizes_are_spelt_as_people_do(count: float, words: str) -> None:
    assert size(count) == words
