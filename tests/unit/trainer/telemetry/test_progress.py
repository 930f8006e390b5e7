"""What a person sees: bars on a terminal, plain and rare lines in a pipe."""

import fcntl
import io
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

from trainer.telemetry.progress import Progress, duration, size


class Clock:
    """A clock that is set by hand."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


def step(number: int, rank: int = 0, loss: float = 0.5) -> dict[str, Any]:
    event = {"event": "step", "rank": rank, "step": number, "steps": 400, "epoch": 1, "epochs": 20}
    return {**event, "loss": {"loss": loss}, "lr": 1e-3, "samples": 32, "seconds": 0.5, "reader_seconds": 0.0}


EVAL = {
    "event": "eval",
    "rank": 0,
    "step": 20,
    "epoch": 1,
    "metrics": {"precision": 0.8, "recall": 0.7, "hmean": 0.75},
    "best": True,
    "seconds": 3.1,
}


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def pipe(clock: Clock) -> tuple[Progress, Callable[[], list[str]]]:
    stream = io.StringIO()
    return Progress(stream, every=10, clock=clock), lambda: stream.getvalue().splitlines()


@contextmanager
def terminal() -> Iterator[tuple[Progress, Callable[[], str]]]:
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
        yield Progress(stream), text
    finally:
        stream.close()
        reader.join(timeout=5)
        os.close(ours)


def test_in_a_pipe_routine_lines_come_at_most_every_n_seconds(pipe: Any, clock: Clock) -> None:
    progress, lines = pipe
    progress.stage("train")
    for number in range(1, 101):
        clock.now += 0.5
        progress.show(step(number))
    written = [line for line in lines() if "step" in line]
    assert len(written) == 5
    assert written[-1] == "train: epoch 1/20, step 81/400, loss 0.5, 64 samples/s, 2m40s left"


def test_in_a_pipe_evaluations_checkpoints_and_stages_are_always_said(pipe: Any) -> None:
    progress, lines = pipe
    progress.stage("train")
    progress.show(step(1))
    progress.show(EVAL)
    progress.show({"event": "checkpoint", "rank": 0, "step": 20, "path": "/x", "seconds": 0.5})
    progress.show({"event": "notice", "rank": 1, "message": "2 samples are refused"})
    progress.done("train", 75, "400 steps, best hmean 0.93")
    progress.skipped("export", "its receipt still holds")
    progress.show({"event": "error", "rank": 1, "message": "the loss is nan"})
    progress.show({"event": "error", "message": "no worker has started"})
    assert lines()[2:] == [
        "train: epoch 1, step 20, evaluated in 3.1 s: precision 0.8000, recall 0.7000, hmean 0.7500 (best so far)",
        "train: checkpoint at step 20 in 0.5 s",
        "train: 2 samples are refused",
        "train done in 1m15s: 400 steps, best hmean 0.93",
        "export skipped: its receipt still holds",
        "train: rank 1: the loss is nan",
        "train: rank ?: no worker has started",
    ]
    assert lines()[0] == "train ..."


def test_the_time_left_is_that_of_the_steps_of_this_attempt(pipe: Any, clock: Clock) -> None:
    """A resumed training starts at a later step, and a restart within a stage at an earlier one."""
    progress, lines = pipe
    for seconds, number in ((0.5, 201), (10, 211), (30, 200), (10, 210), (60, 150), (10, 160)):
        clock.now += seconds
        progress.show(step(number))
    left = [re.search(r"step (\d+)/400.*, ([^,]*) left$", line).groups() for line in lines()]  # type: ignore[union-attr]
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
    progress, lines = pipe
    progress.stage("train")
    progress.show(EVAL)
    progress.show(step(20))
    progress.stage("fine-tune")
    progress.show(step(1))
    assert lines()[-1] == "fine-tune: epoch 1/20, step 1/400, loss 0.5, 64 samples/s, 3m20s left"


def test_a_line_in_a_pipe_is_read_at_once() -> None:
    ours, theirs = os.pipe()
    os.set_blocking(ours, False)
    with os.fdopen(theirs, "w", encoding="utf-8") as stream:
        Progress(stream).line("fetch ...")
        assert os.read(ours, 100) == b"fetch ...\n"
    os.close(ours)


def test_the_last_evaluation_stands_in_the_lines_of_steps(pipe: Any, clock: Clock) -> None:
    progress, lines = pipe
    progress.show(EVAL)
    progress.show(step(21))
    assert "hmean 0.7500" in lines()[-1]


def test_the_speed_is_that_of_all_ranks_and_the_lines_those_of_one(pipe: Any, clock: Clock) -> None:
    progress, lines = pipe
    for number in (1, 2):
        for rank in (1, 0):
            clock.now += 20
            progress.show(step(number, rank, loss=rank + 0.25))
    assert "128 samples/s" in lines()[-1]
    # One line of rank 1 before rank 0 had spoken.
    assert [line for line in lines() if "step 2/" in line and "loss 0.25" in line] == lines()[-1:]


def test_shares_of_ranks_are_added_up(pipe: Any) -> None:
    progress, lines = pipe
    progress.stage("evaluate")
    for rank in (0, 1):
        event = {"event": "progress", "rank": rank, "what": "evaluate", "done": 50, "total": 50, "unit": "images"}
        progress.show({**event, "done": 10})
        if rank:
            progress.show({**event, "rank": 0})
            progress.show(event)
    progress.show({**event, "done": 10})
    assert lines() == ["evaluate ...", "evaluate 10/50 images", "evaluate 100/100 images"]
    progress.show({**event, "done": 50})
    assert lines()[3:] == ["evaluate 50/50 images"], "a second evaluation starts from nothing"


def test_progress_of_the_node_itself_has_no_rank(pipe: Any) -> None:
    progress, lines = pipe
    progress.stage("prepare")
    progress.show({"event": "progress", "what": "prepare", "done": 3, "total": 3, "unit": "images"})
    assert lines()[-1] == "prepare 3/3 images"


def test_a_transfer_says_its_beginning_and_its_end(pipe: Any) -> None:
    progress, lines = pipe
    progress.stage("fetch")
    for done in range(0, 10_000_001, 100_000):
        progress.transfer("pull", done, 10_000_000)
    assert lines() == ["fetch ...", "fetch: pull 0 B of 10.0 MB", "fetch: pull 10.0 MB of 10.0 MB"]


def test_on_a_terminal_a_bar_shows_stage_epoch_step_loss_metric_and_speed() -> None:
    with terminal() as (progress, text):
        progress.stage("train")
        progress.show(EVAL)
        progress.show(step(20))
        progress._bars["steps"].refresh()
        progress.line("a line above the bar")
        progress.close()
        shown = text()
    assert "\r" in shown
    assert shown.count("\n") == 3, "nothing is left of the bar"
    *_, bar = (part for part in re.split(r"[\r\n]", shown) if "20/400" in part)
    assert re.search(r"train: epoch 1/20 +5%\|.*\| 20/400 \[.*<.*\], loss 0.5, hmean 0.7500, 64 samples/s", bar)
    assert len(bar) in (119, 120), "a bar is as wide as the terminal"
    assert "a line above the bar" in re.split(r"[\r\n]+", shown)


def test_on_a_terminal_bars_go_when_the_stage_is_done() -> None:
    with terminal() as (progress, text):
        progress.stage("fetch")
        progress.transfer("pull", 1, 10)
        progress.show({"event": "progress", "rank": 0, "what": "check", "done": 1, "total": 9, "unit": "images"})
        assert len(progress._bars) == 2
        progress.done("fetch", 1.0, "10 files")
        assert not progress._bars
        assert text().endswith("fetch done in 1.0 s: 10 files\r\n")


def test_on_a_terminal_a_bar_goes_when_its_work_is_done() -> None:
    """Work that is counted within a stage is done when the steps begin; the next stage has bars of its own."""
    evaluation = {"event": "progress", "rank": 0, "what": "evaluate", "total": 9, "unit": "images"}
    with terminal() as (progress, text):
        progress.stage("train")
        progress.transfer("pull", 5_000_000, 10_000_000)
        progress.show({**evaluation, "done": 8})
        assert set(progress._bars) == {"pull", "evaluate"}
        progress._bars["pull"].refresh()
        progress.transfer("pull", 10_000_000, 10_000_000)
        assert set(progress._bars) == {"evaluate"}
        progress.show({**evaluation, "done": 9})
        assert not progress._bars
        progress.show({**evaluation, "done": 1})
        progress.show(step(1))
        assert set(progress._bars) == {"steps"}
        progress.stage("evaluate")
        assert not progress._bars
        progress.show({**evaluation, "done": 1})
        progress.close()
        assert not progress._bars
        assert "5.00M/10.0M" in text()


def test_on_a_terminal_many_events_are_few_redraws_and_no_thread_of_the_bars() -> None:
    with terminal() as (progress, text):
        progress.stage("train")
        for number in range(1, 301):
            progress.show(step(number))
        assert "TMonitor" not in {type(thread).__name__ for thread in threading.enumerate()}
        progress.close()
        assert text().count("\r") < 150


def test_what_came_back_to_an_earlier_step_is_counted_from_there() -> None:
    with terminal() as (progress, text):
        progress.show(step(20))
        progress.show(step(10))
        progress._bars["steps"].refresh()
        progress.close()
        assert "10/400" in text()


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
