"""How long a wait may last."""

import time

from trainer.rendezvous import deadline


def test_where_nothing_is_missing_no_deadline_runs() -> None:
    assert deadline.left(None, 5) is None


def test_what_is_left_shrinks_to_nothing_and_no_further() -> None:
    now = time.monotonic()
    assert 50 < (deadline.left(now, 60) or 0) <= 60
    assert 0 < (deadline.left(now - 30, 60) or 0) <= 30
    assert deadline.left(now - 90, 60) == 0
