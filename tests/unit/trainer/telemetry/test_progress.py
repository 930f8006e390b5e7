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


def step(number: int, rank: int = 0) -> dict[str, Any]:
    event = {"event": "step", "rank": rank, "step": number, "steps": 400, "epoch": 1, "epochs": 20}
    return {**event, "loss": {"loss": 0.5}, "lr": 1e-3, "samples": 32, "seconds": 0.5, "reader_seconds": 0.0}


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
    assert lines()[2:] == [
        "train: epoch 1, step 20, evaluated in 3.1 s: precision 0.8000, recall 0.7000, hmean 0.7500 (best so far)",
        "train: checkpoint at step 20 in 0.5 s",
        "train: 2 samples are refused",
        "train done in 1m15s: 400 steps, best hmean 0.93",
        "export skipped: its receipt still holds",
    ]
    assert lines()[0] == "train ..."


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
            progress.show(step(number, rank))
    assert "128 samples/s" in lines()[-1]
    # One line of rank 1 before rank 0 had spoken.
    assert sum("step 2/" in line for line in lines()) == 1


def test_shares_of_ranks_are_added_up(pipe: Any) -> None:
    progress, lines = pipe
    progress.stage("evaluate")
    for rank in (0, 1):
        event = {"event": "progress", "rank": rank, "what": "evaluate", "done": 50, "total": 50, "unit": "images"}
        progress.show({**event, "done": 10})
        if rank:
            progress.show({**event, "rank": 0})
            progress.show(event)
    assert lines() == ["evaluate ...", "evaluate 10/50 images", "evaluate 100/100 images"]


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
    bar = next(part for part in re.split(r"[\r\n]", shown) if "20/400" in part)
    assert re.search(r"train: epoch 1/20 +5%\|.*\| 20/400 \[.*<.*\], loss 0.5, hmean 0.7500, 64 samples/s", bar)
    assert "a line above the bar" in shown


def test_on_a_terminal_bars_go_when_the_stage_is_done() -> None:
    with terminal() as (progress, text):
        progress.stage("fetch")
        progress.transfer("pull", 1, 10)
        progress.show({"event": "progress", "rank": 0, "what": "check", "done": 1, "total": 9, "unit": "images"})
        assert len(progress._bars) == 2
        progress.done("fetch", 1.0, "10 files")
        assert not progress._bars
        assert text().endswith("fetch done in 1.0 s: 10 files\r\n")


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.04, "0.0 s"), (12.3, "12 s"), (59.7, "1m00s"), (200, "3m20s"), (7500, "2h05m")]
)
def test_times_are_spelt_as_people_do(seconds: float, words: str) -> None:
    assert duration(seconds) == words


@pytest.mark.parametrize(("count", "words"), [(812, "812 B"), (1_400_000, "1.4 MB"), (2e12, "2.0 TB")])
def test_sizes_are_spelt_as_people_do(count: float, words: str) -> None:
    assert size(count) == words
