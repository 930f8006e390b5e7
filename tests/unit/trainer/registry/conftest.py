"""The output of runs, as a folder."""

from pathlib import Path

import pytest

from trainer.storage import Store, open_store


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store((tmp_path / "output").as_uri())
