"""Times are written as kubectl and Kubernetes write them."""

from datetime import datetime, timedelta, timezone

import pytest

from jobs.kube import times


@pytest.mark.parametrize(
    ("seconds", "written"),
    [
        (-1, "0s"), (0, "0s"), (119.9, "119s"), (120, "2m"), (125, "2m5s"), (599, "9m59s"), (600, "10m"), (665, "11m"),
        (7199, "119m"), (7200, "2h"), (8000, "2h13m"), (36_000, "10h"), (172_799, "47h"), (172_800, "2d"),
        (200_000, "2d7h"), (900_000, "10d"), (8_640_000, "100d"),
    ],
)  # fmt: skip
def test_a_span_is_written_as_kubectl_does(seconds: float, written: str) -> None:
    assert times.span(timedelta(seconds=seconds)) == written


def test_a_moment_is_written_in_utc() -> None:
    there = datetime(2026, 1, 2, 5, 4, 5, tzinfo=timezone(timedelta(hours=2)))
    assert times.stamp(there) == "2026-01-02T03:04:05Z"
    assert times.stamp(None) is None
