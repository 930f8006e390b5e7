"""Tables go to standard output, sentences to standard error. On a terminal: test_overview.py."""

import io

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
