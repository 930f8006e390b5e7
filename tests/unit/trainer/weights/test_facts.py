"""What is known of weights, and that no others are read than were checked."""

import hashlib
from pathlib import Path

import pytest

from trainer.errors import TransientError
from trainer.weights import facts as weights
from trainer.weights.facts import Origin

ORIGIN = Origin(uri="s3://b/x.pdparams", sha256=hashlib.sha256(b"weights").hexdigest(), run="r-1", dictionary="d" * 64)


@pytest.fixture
def facts(tmp_path: Path) -> Path:
    path = tmp_path / "teacher.json"
    ORIGIN.write(path)
    return path


def test_what_is_known_is_read_as_it_was_written(facts: Path) -> None:
    assert Origin.read(facts) == ORIGIN
    assert weights.dictionary_of(facts) == "d" * 64
    assert [path.name for path in facts.parent.iterdir()] == ["teacher.json"]


def test_of_weights_without_facts_no_dictionary_is_known(tmp_path: Path) -> None:
    assert weights.dictionary_of(tmp_path / "none.json") is None


def test_the_weights_that_were_fetched_may_be_read(facts: Path, tmp_path: Path) -> None:
    path = tmp_path / "teacher.pdparams"
    path.write_bytes(b"weights")
    weights.require(path, facts)
    assert path.exists()


@pytest.mark.parametrize("content", [b"weightz", b"", None], ids=["of the same size", "empty", "gone"])
def test_any_others_are_refused_and_removed(facts: Path, tmp_path: Path, content: bytes | None) -> None:
    """Removed, so that fetch's receipt does not hold and the next start brings the right ones."""
    path = tmp_path / "teacher.pdparams"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(
        TransientError, match=r"teacher\.pdparams is missing, or has changed since it was fetched.* Run it again"
    ):
        weights.require(path, facts)
    assert not path.exists()


def test_weights_of_which_nothing_is_known_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "teacher.pdparams"
    path.write_bytes(b"weights")
    with pytest.raises(TransientError):
        weights.require(path, tmp_path / "none.json")
