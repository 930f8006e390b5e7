"""A dataset or file is brought to this machine: a folder stays where it is."""

from pathlib import Path

import pytest

from jobs.models import locations
from jobs.models.cache import Cache
from trainer.errors import NotFoundError
from trainer.storage import open_store


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "cache")


def test_a_folder_is_used_in_place_by_its_name_or_its_uri(tmp_path: Path, cache: Cache) -> None:
    pages = tmp_path / "my pages"
    pages.mkdir()
    assert locations.folder(str(pages), cache) == pages
    assert locations.folder(f"file://{str(pages).replace(' ', '%20')}", cache) == pages
    assert not cache.root.exists()


@pytest.mark.parametrize("name", ["a#b", "a?b", "50%"])
def test_a_folder_may_have_any_name(name: str, tmp_path: Path, cache: Cache) -> None:
    (tmp_path / name).mkdir()
    assert locations.folder(f"file://{tmp_path}/{name}", cache) == tmp_path / name
    assert locations.folder(str(tmp_path / name), cache) == tmp_path / name


def test_a_folder_that_is_not_there_is_named(tmp_path: Path, cache: Cache) -> None:
    (tmp_path / "file").touch()
    for name in ("none", "file"):
        with pytest.raises(NotFoundError, match=f"{name}' is not a folder"):
            locations.folder(str(tmp_path / name), cache)


def test_a_file_is_brought_here_and_has_its_size(tmp_path: Path, cache: Cache) -> None:
    open_store(f"file://{tmp_path}/bucket").put("dictionaries/latin.txt", b"abc\n")
    uri = f"file://{tmp_path}/bucket/dictionaries/latin.txt"
    found = locations.file(uri, cache)
    assert found.read_bytes() == b"abc\n"
    assert found.is_relative_to(cache.root)
    assert locations.size(uri) == 4


def test_the_size_of_a_file_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError):
        locations.size(f"file://{tmp_path}/none.txt")
