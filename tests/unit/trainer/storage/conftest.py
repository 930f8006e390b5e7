"""A folder, and the store that it is."""

from pathlib import Path

import pytest

from trainer.storage import Store, open_store


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "store").mkdir()
    return tmp_path / "store"


@pytest.fixture
def store(folder: Path) -> Store:
    return open_store(folder.as_uri())
