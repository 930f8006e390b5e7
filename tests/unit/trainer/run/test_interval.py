"""When a save or an evaluation is due."""

import pytest

from trainer.run.interval import Due


@pytest.mark.parametrize(
    ("every", "due"),
    [("1ep", [10, 20, 30]), ("2ep", [20]), ("7steps", [7, 14, 21, 28])],
)
def test_epochs_and_steps_are_counted(every, due):
    made = Due(every)
    found = [step for step in range(1, 31) if made.at(step, epochs=None if step % 10 else step // 10)]
    assert found == due
    assert not made.by_clock


def test_time_runs_from_the_last_time_it_was_done():
    now = [0.0]
    made = Due("5m", clock=lambda: now[0])
    seen = []
    for minute in range(1, 13):
        now[0] = minute * 60.0
        if made.at(minute, epochs=None):
            seen.append(minute)
            made.done()
    assert seen == [5, 10]
    assert made.by_clock
