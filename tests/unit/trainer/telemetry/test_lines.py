"""Lines of a log are read as they were written, in both formats, and no line of anybody else is taken for one."""

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainer import contract
from trainer.telemetry.lines import Line, read, to_json

MESSAGES = st.text(st.characters(exclude_categories=("C", "Z"))) | st.just("step 1/2, 3 s left")
LINES = st.builds(
    Line,
    message=MESSAGES,
    stage=st.sampled_from(contract.STAGES),
    percent=st.none() | st.integers(0, 100),
    turn=st.none(),
) | st.builds(
    Line,
    message=MESSAGES,
    stage=st.sampled_from(contract.STAGES),
    percent=st.none(),
    turn=st.sampled_from(("begun", "done", "skipped")),
)
EVENTS = {"begun": "stage_begun", "done": "stage_done", "skipped": "stage_skipped"}


@given(LINES)
def test_text_is_read_as_it_was_written(line: Line) -> None:
    assert read(str(line)) == line


@given(LINES)
def test_json_is_read_as_it_was_written(line: Line) -> None:
    assert read(to_json(line, {"event": EVENTS.get(line.turn or "", "notice")})) == line


@pytest.mark.parametrize(
    ("line", "written"),
    [
        (Line(message="a sentence"), "a sentence"),
        (Line(stage="train", message="a sentence"), "[train] a sentence"),
        (Line(stage="train", percent=0, message="step 1/900"), "[train 0%] step 1/900"),
        (Line(stage="train", turn="begun"), "[train begun]"),
        (Line(stage="train", turn="done", message="90 steps (3 s)"), "[train done] 90 steps (3 s)"),
    ],
)
def test_what_a_person_reads(line: Line, written: str) -> None:
    assert str(line) == written


def test_json_has_the_keys_of_the_event_and_those_of_the_line() -> None:
    line = Line(stage="train", percent=50, message="step 1/2")
    now = datetime(2026, 5, 1, 2, 3, 4, 567890, tzinfo=UTC)
    assert json.loads(to_json(line, {"event": "step", "step": 1}, now=now)) == {
        "time": "2026-05-01T02:03:04.567Z",
        "event": "step",
        "step": 1,
        "message": "step 1/2",
        "stage": "train",
        "percent": 50,
    }


@pytest.mark.parametrize(
    "written",
    [
        "",
        "[train",
        "[fine-tune] step 1/2",
        "[train 5%]step 1/2",
        "[train 5000%] step 1/2",
        " [train 5%] step 1/2",
        "a page called [train 5%] step 1/2",
        '{"time":',
        '{"time":1,"percent":"half"}',
        '{"time":"2026","message":[]}',
        '{"event":"step","message":"of somebody else"}',
        "[]",
        "null",
    ],
)
def test_a_line_of_somebody_else_is_all_message(written: str) -> None:
    assert read(written) == Line(message=written)


def test_more_than_all_is_all() -> None:
    assert read("[fetch 250%] 5 MB of 2 MB") == Line(stage="fetch", percent=100, message="5 MB of 2 MB")


def test_a_key_that_a_later_version_adds_is_no_matter() -> None:
    later = '{"time":"2030-01-01T00:00:00.000Z","event":"rewarded","message":"Well done.","stage":"train","medal":1}'
    assert read(later) == Line(stage="train", message="Well done.")
