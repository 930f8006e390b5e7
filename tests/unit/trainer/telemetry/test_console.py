"""What a person sees: bars on a terminal, plain and rare lines in a pipe."""

import fcntl
import io
import json
import os
import pty
import re
import struct
import termios
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from trainer.telemetry.console import Console
from trainer.telemetry.events import (
    AttemptBegun,
    Checkpointed,
    Ended,
    Evaluated,
    Failed,
    Notice,
    Progressed,
    Ready,
    Refused,
    StageBegun,
    StageDone,
    StageSkipped,
    Step,
    Transferred,
    Uploaded,
)


class Clock:
    """A clock that is set by hand."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


def step(number: int, rank: int = 0, loss: float | None = 0.5) -> Step:
    return Step(
        rank=rank,
        step=number,
        steps=400,
        epoch=1,
        epochs=20,
        loss={"loss": loss},
        lr=1e-3,
        samples=32,
        seconds=0.5,
        reader_seconds=0.0,
    )


def images(done: int, total: int, *, what: str = "evaluate", rank: int | None = 0) -> Progressed:
    return Progressed(what=what, done=done, total=total, unit="images", rank=rank)


def pulled(done: int) -> Progressed:
    return Progressed(what="pull", done=done, total=10_000_000, unit="bytes")


EVAL = Evaluated(
    rank=0, step=20, epoch=1, metrics={"precision": 0.8, "recall": 0.7, "hmean": 0.75}, best=True, seconds=3.1
)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def pipe(clock: Clock) -> tuple[Console, Callable[[], list[str]]]:
    stream = io.StringIO()
    return Console(stream, every=10, clock=clock), lambda: stream.getvalue().splitlines()


@contextmanager
def terminal() -> Iterator[tuple[Console, Callable[[], str]]]:
    """A real pseudo-terminal, read on the other side all the while, so that no write blocks."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 120, 0, 0))
    seen: list[bytes] = []

    def read() -> None:
        try:
            while chunk := os.read(ours, 4096):
                seen.append(chunk)
        except OSError:
            pass  # Linux says EIO when the other side of a pty is closed

    reader = threading.Thread(target=read)
    reader.start()
    stream = os.fdopen(theirs, "w", encoding="utf-8")

    def text() -> str:
        stream.close()
        reader.join(timeout=5)
        return b"".join(seen).decode()

    try:
        yield Console(stream), text
    finally:
        stream.close()
        reader.join(timeout=5)
        os.close(ours)


def test_in_a_pipe_routine_lines_come_at_most_every_n_seconds(pipe: Any, clock: Clock) -> None:
    console, lines = pipe
    console.hear(StageBegun(stage="train"))
    for number in range(1, 101):
        clock.now += 0.5
        console.hear(step(number))
    written = [line for line in lines() if "step" in line]
    assert len(written) == 5
    assert written[-1] == "[train 20%] step 81/400, 2m40s left, loss 0.5, 64 samples/s, epoch 1/20"


def test_in_a_pipe_evaluations_checkpoints_and_stages_are_always_said(pipe: Any) -> None:
    console, lines = pipe
    console.hear(StageBegun(stage="train"))
    console.hear(step(1))
    console.hear(EVAL)
    console.hear(Checkpointed(rank=0, step=20, seconds=0.5))
    console.hear(Uploaded(step=20, seconds=0.5))
    console.hear(Notice(rank=1, message="2 samples are refused"))
    console.hear(StageDone(stage="train", seconds=75, summary="400 steps, best hmean 0.93"))
    console.hear(StageSkipped(stage="export", reason="its receipt still holds"))
    console.hear(Failed(rank=1, code=44, message="the loss is nan"))
    for event in (Ready(rank=0, pid=1), Transferred(direction="pull", count=1), AttemptBegun(number=1)):
        console.hear(event)
    assert lines()[2:] == [
        "[train] epoch 1, step 20, evaluated in 3.1 s: precision 0.8000, recall 0.7000, hmean 0.7500 (best so far)",
        "[train] checkpoint at step 20 in 0.5 s",
        "[train] 2 samples are refused",
        "[train done] 400 steps, best hmean 0.93 (1m15s)",
        "[export skipped] its receipt still holds",
        "[train] rank 1: the loss is nan",
    ]
    assert lines()[0] == "[train begun]"


def test_the_time_left_is_that_of_the_steps_of_this_attempt(pipe: Any, clock: Clock) -> None:
    """A resumed training starts at a later step, and a restart within a stage at an earlier one."""
    console, lines = pipe
    for seconds, number in ((0.5, 201), (10, 211), (30, 200), (10, 210), (60, 150), (10, 160)):
        clock.now += seconds
        console.hear(step(number))
    left = [re.search(r"step (\d+)/400, ([^,]*) left,", line).groups() for line in lines()]  # type: ignore[union-attr]
    # 0.5 s a step at first; 10.5 s for the 11 steps until then.
    assert left == [
        ("201", "1m40s"),
        ("211", "3m00s"),
        ("200", "1m40s"),
        ("210", "3m01s"),
        ("150", "2m05s"),
        ("160", "3m49s"),
    ]


def test_a_stage_knows_nothing_of_the_one_before(pipe: Any) -> None:
    console, lines = pipe
    console.hear(StageBegun(stage="train"))
    console.hear(EVAL)
    console.hear(step(20))
    console.hear(StageBegun(stage="evaluate"))
    console.hear(step(1))
    assert lines()[-1] == "[evaluate 0%] step 1/400, 3m20s left, loss 0.5, 64 samples/s, epoch 1/20"


def test_a_line_in_a_pipe_is_read_at_once() -> None:
    ours, theirs = os.pipe()
    os.set_blocking(ours, False)
    with os.fdopen(theirs, "w", encoding="utf-8") as stream:
        Console(stream).hear(StageBegun(stage="fetch"))
        assert os.read(ours, 100) == b"[fetch begun]\n"
    os.close(ours)


def test_the_last_evaluation_stands_in_the_lines_of_steps(pipe: Any, clock: Clock) -> None:
    console, lines = pipe
    console.hear(EVAL)
    console.hear(step(21))
    assert "hmean 0.7500" in lines()[-1]


def test_the_speed_is_that_of_all_ranks_and_the_lines_those_of_one(pipe: Any, clock: Clock) -> None:
    console, lines = pipe
    for number in (1, 2):
        for rank in (1, 0):
            clock.now += 20
            console.hear(step(number, rank, loss=rank + 0.25))
    assert "128 samples/s" in lines()[-1]
    # One line of rank 1 before rank 0 had spoken.
    assert [line for line in lines() if "step 2/" in line and "loss 0.25" in line] == lines()[-1:]


def test_shares_of_ranks_are_added_up(pipe: Any) -> None:
    console, lines = pipe
    console.hear(StageBegun(stage="evaluate"))
    for rank in (0, 1):
        console.hear(images(10, 50, rank=rank))
        if rank:
            console.hear(images(50, 50, rank=0))
            console.hear(images(50, 50, rank=1))
    console.hear(images(10, 50))
    assert lines() == ["[evaluate begun]", "[evaluate 20%] 10/50 images", "[evaluate 100%] 100/100 images"]
    console.hear(images(50, 50))
    assert lines()[3:] == ["[evaluate 100%] 50/50 images"], "a second evaluation starts from nothing"


def test_progress_of_the_node_itself_has_no_rank(pipe: Any) -> None:
    console, lines = pipe
    console.hear(StageBegun(stage="prepare"))
    console.hear(images(3, 3, what="prepare", rank=None))
    assert lines()[-1] == "[prepare 100%] 3/3 images"


def test_a_transfer_says_its_beginning_and_its_end(pipe: Any) -> None:
    console, lines = pipe
    console.hear(StageBegun(stage="fetch"))
    for done in range(0, 10_000_001, 100_000):
        console.hear(pulled(done))
    assert lines() == ["[fetch begun]", "[fetch 0%] pull 0 B of 10.0 MB", "[fetch 100%] pull 10.0 MB of 10.0 MB"]


def test_on_a_terminal_a_bar_shows_stage_epoch_step_loss_metric_and_speed() -> None:
    with terminal() as (console, text):
        console.hear(StageBegun(stage="train"))
        console.hear(EVAL)
        console.hear(step(20))
        console._bars["steps"].refresh()
        console.notice("a line above the bar")
        console.close()
        shown = text()
    assert "\r" in shown
    assert shown.count("\n") == 3, "nothing is left of the bar"
    *_, bar = (part for part in re.split(r"[\r\n]", shown) if "20/400" in part)
    assert re.search(r"\[train\] epoch 1/20 +5%\|.*\| 20/400 \[.*<.*\], loss 0.5, hmean 0.7500, 64 samples/s", bar)
    assert len(bar) in (119, 120), "a bar is as wide as the terminal"
    assert "[train] a line above the bar" in re.split(r"[\r\n]+", shown)


def test_on_a_terminal_bars_go_when_the_stage_is_done() -> None:
    with terminal() as (console, text):
        console.hear(StageBegun(stage="fetch"))
        console.hear(pulled(1))
        console.hear(images(1, 9, what="check"))
        assert len(console._bars) == 2
        console.hear(StageDone(stage="fetch", seconds=1.0, summary="10 files"))
        assert not console._bars
        assert text().endswith("[fetch done] 10 files (1.0 s)\r\n")


def test_on_a_terminal_a_bar_goes_when_its_work_is_done() -> None:
    """Work that is counted within a stage is done when the steps begin; the next stage has bars of its own."""
    with terminal() as (console, text):
        console.hear(StageBegun(stage="train"))
        console.hear(pulled(5_000_000))
        console.hear(images(8, 9))
        assert set(console._bars) == {"pull", "evaluate"}
        console._bars["pull"].refresh()
        console.hear(pulled(10_000_000))
        assert set(console._bars) == {"evaluate"}
        console.hear(images(9, 9))
        assert not console._bars
        console.hear(images(1, 9))
        console.hear(step(1))
        assert set(console._bars) == {"steps"}
        console.hear(StageBegun(stage="evaluate"))
        assert not console._bars
        console.hear(images(1, 9))
        console.close()
        assert not console._bars
        assert "5.00M/10.0M" in text()


def test_on_a_terminal_many_events_are_few_redraws_and_no_thread_of_the_bars() -> None:
    with terminal() as (console, text):
        console.hear(StageBegun(stage="train"))
        for number in range(1, 301):
            console.hear(step(number))
        assert "TMonitor" not in {type(thread).__name__ for thread in threading.enumerate()}
        console.close()
        assert text().count("\r") < 150


def test_what_came_back_to_an_earlier_step_is_counted_from_there() -> None:
    with terminal() as (console, text):
        console.hear(step(20))
        console.hear(step(10))
        console._bars["steps"].refresh()
        console.close()
        assert "10/400" in text()


@pytest.fixture
def objects() -> tuple[Console, Callable[[], list[dict[str, Any]]]]:
    """A console that writes JSON, and what it has written without its times."""
    stream = io.StringIO()

    def written() -> list[dict[str, Any]]:
        found = [json.loads(line) for line in stream.getvalue().splitlines()]
        assert all(re.fullmatch(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", each.pop("time")) for each in found)
        return found

    return Console(stream, form="json", every=0), written


def test_as_json_every_event_that_is_logged_is_an_object_with_its_keys_and_its_place(objects: Any) -> None:
    console, written = objects
    console.hear(Notice(message="Metrics are at …"))
    console.locate(run="lines-1a2b3c4d", node=0, attempt=2)
    console.hear(StageBegun(stage="train"))
    console.hear(Checkpointed(rank=0, step=20, seconds=0.5))
    console.hear(Uploaded(step=20, seconds=0.5))
    console.hear(Ready(rank=0, pid=1))
    console.hear(Ended(code=0))
    place = {"run": "lines-1a2b3c4d", "node": 0, "attempt": 2}
    saved, sent = "checkpoint at step 20 in 0.5 s", "checkpoint at step 20 uploaded in 0.5 s"
    trained = {**place, "stage": "train"}
    assert written() == [
        {"event": "notice", "message": "Metrics are at …"},
        {"event": "stage_begun", **trained, "message": ""},
        {"event": "checkpointed", **trained, "rank": 0, "step": 20, "seconds": 0.5, "message": saved},
        {"event": "uploaded", **trained, "step": 20, "seconds": 0.5, "message": sent},
        {"event": "ended", **place, "code": 0, "message": ""},
    ]


def test_as_json_steps_have_the_speed_of_the_node_and_how_far_they_are(objects: Any) -> None:
    console, written = objects
    console.hear(StageBegun(stage="train"))
    console.hear(step(80, rank=0))
    console.hear(step(81, rank=1, loss=9.0))
    console.hear(step(81, rank=0, loss=None))
    console.hear(images(3, 12))
    *_, last, counted = written()
    assert last["samples_per_second"] == 128
    assert last["loss"] == {"loss": None}
    assert (last["step"], last["percent"], last["rank"]) == (81, 20, 0)
    assert last["seconds_left"] > 0
    assert (counted["event"], counted["what"], counted["done"], counted["percent"]) == ("progress", "evaluate", 3, 25)
    assert not [each for each in written() if each.get("loss") == {"loss": 9.0}]


def test_a_traceback_cannot_command_a_terminal_and_keeps_its_lines(pipe: Any) -> None:
    console, lines = pipe
    console.hear(Ended(code=1, traceback="Traceback:\n\tFile\nKeyError: \x1b]0;title\x07\u202e\x9b31m\n"))
    assert lines()[:3] == ["Traceback:", "\tFile", r"KeyError: \x1b]0;title\x07\u202e\x9b31m"]


def test_a_fault_is_written_with_its_traceback(pipe: Any, objects: Any) -> None:
    trace = 'Traceback (most recent call last):\n  File "x.py"\nKeyError: 1\n'
    for console in (pipe[0], objects[0]):
        console.hear(StageBegun(stage="train"))
        console.hear(Ended(code=1, message="KeyError: 1", traceback=trace))
    assert pipe[1]()[1:] == [*trace.splitlines(), "error: KeyError: 1"]
    assert objects[1]()[1:] == [{"event": "ended", "code": 1, "message": "error: KeyError: 1", "traceback": trace}]


def test_no_bar_has_a_command_of_a_worker_for_the_terminal() -> None:
    """Workers decode foreign images, so that one of them may say anything."""
    with terminal() as (console, text):
        console.hear(StageBegun(stage="train"))
        for done in (1, 2):
            console.hear(Progressed(what="\x1b]0;title\x07", done=done, total=9, unit="\u202eimages", rank=0))
            console._bars["\x1b]0;title\x07"].refresh()
        shown = text()
    assert r"[train] \x1b]0;title\x07" in shown
    assert r"\u202eimages" in shown
    assert not {"\x07", "\u202e"} & {*shown}


def test_no_line_of_a_step_has_a_command_of_a_worker(pipe: Any) -> None:
    console, lines = pipe
    console.hear(Evaluated(epoch=1, step=1, seconds=1.0, metrics={"\x1b[2J": 1.0}, best=False))
    console.hear(step(1))
    assert r"\x1b[2J 1.0000" in lines()[-1]
    assert "\x1b" not in "".join(lines())


def test_json_says_what_a_terminal_would_obey_in_escapes() -> None:
    """So that it is exact, and harms no terminal that shows the log of a pod."""
    stream, name = io.StringIO(), "\x1b\x7f\x9b\u202e\u2028é.jpg"
    Console(stream, form="json").hear(Refused(count=1, examples={name: "why"}))
    assert json.loads(stream.getvalue())["examples"] == {name: "why"}
    assert not {*name[:-5]} & {*stream.getvalue()}
    assert "é.jpg" in stream.getvalue()


def test_what_a_file_is_called_does_not_break_a_line(pipe: Any, objects: Any) -> None:
    """Names come from the data: one may have line breaks, a terminal's commands, or bytes that are no text."""
    for console in (pipe[0], objects[0]):
        console.hear(Notice(message="a\nb\x1b[2J\x85c.jpg \udcff"))
    shown = r"a b\x1b[2J\x85c.jpg \udcff"
    assert pipe[1]() == [shown]
    assert objects[1]()[0]["message"] == shown
    objects[0].hear(Ended(code=41, message="No image.", traceback="\udcff.jpg"))
    assert objects[1]()[1]["traceback"] == "?.jpg"
