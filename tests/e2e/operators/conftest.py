"""The library of this tree's source, compiled once for the tests of its operators."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from trainer.ppocr import tree
from trainer.ppocr.operators.native import Library

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="session")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The library of this tree's source, compiled for this test."""
    if not shutil.which(os.environ.get("CC", "cc")):
        pytest.skip("there is no C compiler: install one, or name it in CC. `make setup` then compiles the operators")
    target = tmp_path_factory.mktemp("native") / "liboperators.so"
    subprocess.run([ROOT / "native" / "build", target, "-Werror"], check=True)
    return target


@pytest.fixture(scope="session")
def library(path: Path) -> Library:
    return Library(path)


@pytest.fixture(scope="session", autouse=True)
def paddleocr() -> None:
    tree.on_path()
    import ppocr.data.imaug  # noqa: F401
