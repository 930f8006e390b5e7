"""The place for weights that runs share: fetched once, checked each time, in nobody's way."""

import errno
import hashlib
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from trainer.weights.cache import Shelf

CONTENT = b"weights"
DIGEST = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    return Shelf(tmp_path / "shelf")


@pytest.fixture
def fetched() -> list[Path]:
    """What was brought from afar."""
    return []


@pytest.fixture
def afar(tmp_path: Path, fetched: list[Path]) -> Callable[[], Path]:
    def fetch() -> Path:
        path = tmp_path / f"landing-{len(fetched)}"
        path.write_bytes(CONTENT)
        fetched.append(path)
        return path

    return fetch


def run_folder(tmp_path: Path, name: str) -> Path:
    (tmp_path / name).mkdir()
    return tmp_path / name / "teacher.pdparams"


def test_a_second_run_fetches_nothing_and_uses_no_disk(
    shelf: Shelf, tmp_path: Path, afar: Callable[[], Path], fetched: list[Path]
) -> None:
    places = [run_folder(tmp_path, name) for name in ("one", "two")]
    for place in places:
        shelf.take(DIGEST, place, fetch=afar)
    assert [place.read_bytes() for place in places] == [CONTENT] * 2
    assert len(fetched) == 1
    assert places[0].samefile(places[1])
    assert [path.name for path in shelf.folder.iterdir()] == [f"{DIGEST}.pdparams"]
    assert all(len(list(place.parent.iterdir())) == 1 for place in places)


def test_a_damaged_file_is_noticed_and_fetched_anew(
    shelf: Shelf, tmp_path: Path, afar: Callable[[], Path], fetched: list[Path]
) -> None:
    shelf.take(DIGEST, run_folder(tmp_path, "one"), fetch=afar)
    (kept,) = shelf.folder.iterdir()
    kept.chmod(0o644)
    kept.write_bytes(b"weightz")
    second = run_folder(tmp_path, "two")
    shelf.take(DIGEST, second, fetch=afar)
    assert (len(fetched), second.read_bytes(), kept.read_bytes()) == (2, CONTENT, CONTENT)


def test_what_is_kept_cannot_be_written_by_accident(shelf: Shelf, tmp_path: Path, afar: Callable[[], Path]) -> None:
    place = run_folder(tmp_path, "one")
    shelf.take(DIGEST, place, fetch=afar)
    assert place.stat().st_mode & 0o222 == 0


def test_the_shelf_may_be_emptied_under_a_run(shelf: Shelf, tmp_path: Path, afar: Callable[[], Path]) -> None:
    place = run_folder(tmp_path, "one")
    shelf.take(DIGEST, place, fetch=afar)
    next(shelf.folder.iterdir()).unlink()
    assert place.read_bytes() == CONTENT
    shelf.take(DIGEST, place, fetch=afar)
    assert place.read_bytes() == CONTENT


def test_runs_that_fetch_at_once_do_not_disturb_one_another(shelf: Shelf, tmp_path: Path) -> None:
    """All have looked and found nothing before the first of them has anything to put there."""
    meet = threading.Barrier(4, timeout=20)

    def one(number: int) -> bytes:
        place = run_folder(tmp_path, f"run-{number}")

        def fetch() -> Path:
            meet.wait()
            path = tmp_path / f"landing-{number}"
            path.write_bytes(CONTENT)
            return path

        shelf.take(DIGEST, place, fetch=fetch)
        return place.read_bytes()

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(one, range(4))) == [CONTENT] * 4
    assert [path.name for path in shelf.folder.iterdir()] == [f"{DIGEST}.pdparams"]


def test_a_fetch_that_fails_leaves_nothing(shelf: Shelf, tmp_path: Path) -> None:
    def refuse() -> Path:
        raise OSError(errno.ENOSPC, "No space left on device")

    place = run_folder(tmp_path, "one")
    with pytest.raises(OSError, match="No space"):
        shelf.take(DIGEST, place, fetch=refuse)
    assert not place.exists()
    assert not shelf.folder.exists()


def test_between_two_file_systems_it_is_copied(
    shelf: Shelf, tmp_path: Path, afar: Callable[[], Path], fetched: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def apart(source: Path, target: Path) -> None:
        raise OSError(errno.EXDEV, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", apart)
    places = [run_folder(tmp_path, name) for name in ("one", "two")]
    for place in places:
        shelf.take(DIGEST, place, fetch=afar)
    assert [place.read_bytes() for place in places] == [CONTENT] * 2
    assert len(fetched) == 1
    assert not places[0].samefile(places[1])
