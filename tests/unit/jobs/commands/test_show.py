"""Tables go to standard output, sentences to standard error; a terminal gets what fits."""

import fcntl
import io
import os
import pty
import struct
import termios
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from typing import TextIO

import pytest

from jobs.commands import show


def test_a_table_has_its_columns_under_their_headings(capsys: pytest.CaptureFixture[str]) -> None:
    rows = [
        {"run": "lines-1", "acc": 0.91239, "in": ["production", "candidate"], "end": None},
        {"run": "a", "acc": 7, "in": [], "end": "now"},
    ]
    show.table(rows, {"RUN": "run", "ACC": "acc", "CHANNELS": "in", "END": "end"})
    assert capsys.readouterr().out.splitlines() == [
        "RUN       ACC      CHANNELS                END",
        "lines-1   0.9124   production, candidate",
        "a         7                                now",
    ]


def test_a_file_gets_a_table_whole_however_wide(capsys: pytest.CaptureFixture[str]) -> None:
    show.table([{"name": "a", "text": "x" * 500}], {"NAME": "name", "TEXT": "text"}, cut=True, spare=["NAME"])
    assert capsys.readouterr().out.splitlines()[1] == f"a      {'x' * 500}"


def test_what_is_said_is_no_part_of_the_result(capsys: pytest.CaptureFixture[str]) -> None:
    show.say("Done.")
    assert capsys.readouterr() == ("", "Done.\n")


def test_text_for_a_file_is_not_wrapped() -> None:
    text = "word " * 100
    assert show.width_of(io.StringIO()) is None
    assert show.wrapped(text, io.StringIO()) == text


@contextmanager
def terminal(columns: int) -> Iterator[TextIO]:
    leader, follower = pty.openpty()
    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    with open(follower, "w", encoding="utf-8") as stream:
        yield stream
    os.close(leader)


class Screen(io.StringIO):
    """Keeps what is written to a terminal."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__()
        self.isatty, self.fileno = stream.isatty, stream.fileno  # type: ignore[method-assign]


LONG = "1234567890" * 4
HEAD = "RUN       ENGINE   REASON"


@pytest.mark.parametrize(
    ("columns", "cut", "spare", "lines"),
    [
        # All of it takes 10 + 9 + 40.
        (59, True, ["ENGINE"], [HEAD, f"lines-1   job      {LONG}"]),
        (58, False, [], [HEAD, f"lines-1   job      {LONG}"]),
        (58, True, [], [HEAD, f"lines-1   job      {LONG[:38]}…"]),
        (58, False, ["ENGINE"], ["RUN       REASON", f"lines-1   {LONG}"]),
        # A column goes when fewer than 30 characters of the last would be left.
        (49, True, ["ENGINE"], [HEAD, f"lines-1   job      {LONG[:29]}…"]),
        (48, True, ["ENGINE"], ["RUN       REASON", f"lines-1   {LONG[:37]}…"]),
        (40, True, ["ENGINE", "RUN"], ["RUN       REASON", f"lines-1   {LONG[:29]}…"]),
        (39, True, ["ENGINE", "RUN"], ["REASON", f"{LONG[:38]}…"]),
        # Twelve characters of the last stay.
        (10, True, [], [HEAD, f"lines-1   job      {LONG[:11]}…"]),
        # A terminal that does not know its width.
        (0, False, ["ENGINE"], [HEAD, f"lines-1   job      {LONG}"]),
    ],
)
def test_a_terminal_gets_the_columns_that_fit(columns: int, cut: bool, spare: list[str], lines: list[str]) -> None:
    row = {"run": "lines-1", "engine": "job", "reason": LONG}
    with terminal(columns) as stream, redirect_stdout(Screen(stream)) as screen:
        show.table([row], {"RUN": "run", "ENGINE": "engine", "REASON": "reason"}, cut=cut, spare=spare)
    assert screen.getvalue().splitlines() == lines


def test_a_terminal_gets_all_of_a_table_that_is_not_to_be_cut() -> None:
    with terminal(20) as stream, redirect_stdout(Screen(stream)) as screen:
        show.table([{"a": "1", "b": LONG}], {"A": "a", "B": "b"})
    assert screen.getvalue() == f"A   B\n1   {LONG}\n"


def test_a_last_column_with_room_to_spare_stays_as_it_is() -> None:
    with terminal(20) as stream, redirect_stdout(Screen(stream)) as screen:
        show.table([{"a": "1", "b": "0123456789"}], {"A": "a", "B": "b"}, cut=True, spare=["A"])
    assert screen.getvalue() == "A   B\n1   0123456789\n"


@pytest.mark.parametrize(
    ("columns", "text", "lines"),
    [
        (20, "a word and another", ["a word and another"]),
        (20, "a word and another wo", ["a word and another", "wo"]),
        (20, "Run `kubectl get pods -o yaml` now", ["Run", "`kubectl get pods -o yaml`", "now"]),
        (20, "one\n\ntwo three four five six", ["one", "", "two three four five", "six"]),
        (10, "a-name-that-is-long and so on", ["a-name-that-is-long", "and so on"]),
        (0, "word " * 16 + "w", ["word " * 15 + "word", "w"]),
    ],
)
def test_words_and_commands_stay_whole_on_a_terminal(columns: int, text: str, lines: list[str]) -> None:
    with terminal(columns) as stream:
        assert show.wrapped(text, stream).split("\n") == lines
