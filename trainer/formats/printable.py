"""The filter for text from outside on its way to a terminal, a log or a termination message.

Names of files, labels, events of a cluster and words of a server may hold sequences that move a terminal's cursor, set
its clipboard, or turn the reading direction, so that a line says something else than it shows.
"""

import io
import re
from typing import Any, Final, TextIO

_UNSAFE: Final = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f"  # control characters of ASCII and of ISO 6429 (C1), but for tab and newline
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # marks, embeddings, overrides and isolates of Unicode's UAX 9
    "\u2028\u2029"  # separators of lines and paragraphs
    "\ud800-\udfff]"  # bytes that are no text
)


def printable(text: str) -> str:
    r"""Return text with escapes such as `\x1b` in the place of what a terminal would obey; newlines and tabs stay."""
    return _UNSAFE.sub(lambda found: repr(found[0])[1:-1], text)


def in_json(text: str) -> str:
    r"""Return JSON with escapes such as `\u009b` in the place of what a terminal would obey: it says the same."""
    return _UNSAFE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def in_one_line(text: str) -> str:
    """Return printable text with spaces in the place of newlines."""
    return printable(text.replace("\n", " "))


class Safe(io.TextIOBase):
    """A stream on which text from outside cannot command a terminal: all commands write to such ones."""

    def __init__(self, raw: TextIO, *, always: bool = False) -> None:
        """Check whether the stream is a terminal.

        Args:
            raw: the stream; what commands a terminal on purpose is written there.
            always: filter text for files and programs too, which otherwise get it unchanged.
        """
        self.raw = raw
        self._filters = always or raw.isatty()

    def write(self, text: str) -> int:
        """Write text; returns its length."""
        self.raw.write(printable(text) if self._filters else text)
        return len(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.raw, name)

    def fileno(self) -> int:
        """Return the descriptor of the stream."""
        return self.raw.fileno()

    def flush(self) -> None:
        """Write what is held back."""
        self.raw.flush()

    def isatty(self) -> bool:
        """Check whether the stream is a terminal."""
        return self.raw.isatty()

    def writable(self) -> bool:
        """Return that it is."""
        return True


def raw(stream: TextIO) -> TextIO:
    """Return what is below a safe stream: for bars, and other sequences of our own."""
    return stream.raw if isinstance(stream, Safe) else stream
