"""The characters that a recogniser knows."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainer.datasets import dictionary
from trainer.errors import DatasetError


def test_auto_sorts_the_characters_and_leaves_the_space_out() -> None:
    assert dictionary.build(["B A", "é1", "A"]) == ["1", "A", "B", "é"]


def test_a_given_file_keeps_its_order_and_loses_the_space(tmp_path: Path) -> None:
    path = tmp_path / "d.txt"
    path.write_bytes("\ufeffb\r\n \r\na\r\n\u2028\r\nfi\r\n\r\n".encode())
    assert dictionary.load(path) == ["b", "a", "\u2028", "fi", ""]


def test_an_empty_line_and_a_repeated_character_keep_their_place(tmp_path: Path) -> None:
    """PaddleOCR ships such files, and a run publishes them for later ones to use."""
    path = tmp_path / "d.txt"
    path.write_bytes(b" \na\n\nb\na\n\n \n")
    assert dictionary.load(path) == ["a", "", "b", "a", ""]
    dictionary.save(["a", "", "b", "a", ""], path)
    assert dictionary.load(path) == ["a", "", "b", "a", ""]


@given(st.lists(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters=" \ufeff"), unique=True, min_size=1))
def test_what_is_saved_is_loaded(tmp_path_factory: pytest.TempPathFactory, characters: list[str]) -> None:
    path = tmp_path_factory.mktemp("d") / "dictionary.txt"
    dictionary.save(characters, path)
    assert dictionary.load(path) == characters


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a\n\xff\n", "d.txt:2 is not UTF-8"),
        (b" \n", "d.txt:1 has no character"),
        (b"", "d.txt:1 has no character"),
        (b"\n \n\n", "d.txt:1 has no character"),
    ],
)
def test_a_broken_dictionary_is_refused_by_file_and_line(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "d.txt"
    path.write_bytes(content)
    with pytest.raises(DatasetError, match=f"^{message}"):
        dictionary.load(path)


def test_a_dictionary_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="cannot be read"):
        dictionary.load(tmp_path / "d.txt")


@pytest.mark.timeout(10)
def test_a_dictionary_that_is_a_fifo_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "d.txt")
    with pytest.raises(DatasetError, match=r"^The dictionary 'd\.txt' cannot be read: it is a FIFO\.$"):
        dictionary.load(tmp_path / "d.txt")


def test_what_a_dictionary_lacks_is_named_once_and_the_space_is_never_lacking() -> None:
    assert dictionary.missing("a x b x ÿ", frozenset("ab")) == "xÿ"
