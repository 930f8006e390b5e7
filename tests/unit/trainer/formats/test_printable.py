"""Text from outside cannot command a terminal."""

import io
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainer.formats.printable import Safe, in_one_line, printable, raw


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain text, 收据, émile, 👩\u200d🔬", "plain text, 收据, émile, 👩\u200d🔬"),
        ("a\tb\nc", "a\tb\nc"),
        ("\x1b]52;c;cm0gLXJmIC8=\x07", r"\x1b]52;c;cm0gLXJmIC8=\x07"),
        ("up\x1b[1A\rover", r"up\x1b[1A\rover"),
        ("\x9b2J\x85", r"\x9b2J\x85"),
        ("invoice\u202egnp.exe", r"invoice\u202egnp.exe"),
        ("\u2066a\u2069\u200f\u061c\u2028", r"\u2066a\u2069\u200f\u061c\u2028"),
        ("\udcff.jpg", r"\udcff.jpg"),
        ("\x7f\x00", r"\x7f\x00"),
    ],
)
def test_what_a_terminal_would_obey_is_shown_as_an_escape(text: str, shown: str) -> None:
    assert printable(text) == shown


@given(st.text())
def test_nothing_is_left_that_is_a_control_or_no_text(text: str) -> None:
    left = printable(text)
    assert not [each for each in left if unicodedata.category(each) in ("Cc", "Cs", "Zl", "Zp") and each not in "\n\t"]
    assert not [each for each in left if unicodedata.bidirectional(each) in ("LRE", "RLE", "LRO", "RLO", "PDF")]
    assert printable(left) == left


def test_in_one_line_there_is_one_line() -> None:
    assert in_one_line("two\nlines\x1b") == r"two lines\x1b"


@pytest.mark.parametrize(
    ("always", "terminal", "written"),
    [
        (False, False, "a\x1b[2Jb"),
        (False, True, r"a\x1b[2Jb"),
        (True, False, r"a\x1b[2Jb"),
    ],
    ids=["a file gets the text unchanged", "a terminal gets escapes", "sentences are filtered everywhere"],
)
def test_a_safe_stream(always: bool, terminal: bool, written: str) -> None:
    class Stream(io.StringIO):
        def isatty(self) -> bool:
            return terminal

    stream = Stream()
    safe = Safe(stream, always=always)
    print("a\x1b[2Jb", file=safe, end="", flush=True)
    assert stream.getvalue() == written
    assert raw(safe) is stream
    assert raw(stream) is stream
    assert safe.isatty() is terminal
