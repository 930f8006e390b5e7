"""A dataset for the tests of recipes."""

from pathlib import Path

import pytest

from trainer.datasets.prepared import Prepared


@pytest.fixture
def prepared(tmp_path: Path) -> Prepared:
    (tmp_path / "dictionary.txt").write_text("".join(f"{digit}\n" for digit in range(10)), "utf-8")
    return Prepared(root=tmp_path, task="rec", digest="", counts={}, max_text_length=6, refused=())
