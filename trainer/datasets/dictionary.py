"""The characters that a recogniser knows.

The space is never among them: the configuration always has `use_space_char: True`, which makes the space the
last class, because that is how users of the exported model read its dictionary.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path

from trainer.errors import DatasetError
from trainer.system import regular


def build(texts: Iterable[str]) -> list[str]:
    """Collect the characters of labels, in the order of their code points."""
    return sorted({character for text in texts for character in text} - {" "})


def load(path: Path, *, called: str | None = None) -> list[str]:
    """Read a dictionary file: one character a line, in the order of the classes.

    The space is left out wherever it stands. Empty lines, repeated characters and entries of several characters, as
    some of PaddleOCR's own files have them, keep their place, so that weights trained with the file still fit. They
    are classes that no label uses.

    Args:
        path: the file.
        called: its name in messages; default: the file's own name.

    Raises:
        DatasetError: the file is not UTF-8, or has no characters.
    """
    name = called or path.name
    characters = [line for line in _lines(path, name) if line != " "]
    if not any(characters):
        raise DatasetError(f"{name}:1 has no characters. A dictionary has one character per line.")
    return characters


def _lines(path: Path, name: str) -> list[str]:
    try:
        with regular.open_binary(path) as file:
            raw = file.read()
    except OSError as error:
        raise DatasetError(f"The dictionary {name!r} cannot be read: {error.strerror}.") from error
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        number = raw.count(b"\n", 0, error.start) + 1
        raise DatasetError(f"{name}:{number} is not UTF-8. Save the file as UTF-8.") from error
    # Not splitlines(): U+2028 and others are characters that a dictionary may hold.
    return [line.removesuffix("\r") for line in text.removesuffix("\n").split("\n")]


def save(characters: Sequence[str], path: Path) -> None:
    """Write a dictionary file."""
    path.write_text("".join(f"{character}\n" for character in characters), "utf-8", newline="\n")


def missing(text: str, known: frozenset[str]) -> str:
    """Return the characters of a text that a dictionary lacks, each once, in order; the space is never missing."""
    return "".join(dict.fromkeys(c for c in text if c != " " and c not in known))
