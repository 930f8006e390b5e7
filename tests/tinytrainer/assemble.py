"""Put the tree of the tiny trainer together: this project's code with another worker."""

import shutil
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
WORKER: Final = Path("trainer", "ppocr", "worker.py")
"""The one file that is replaced."""

_FILES: Final = ("pyproject.toml", "README.md", "requirements/lock.txt", "requirements/overlay.txt")
_FOLDERS: Final = ("jobs", "trainer", "tests/tinytrainer")


def assemble(into: Path) -> Path:
    """Write the tree into a folder, and return the folder: as PYTHONPATH, `python -m trainer` is the tiny trainer.

    Args:
        into: the folder, which need not exist.
    """
    for name in _FILES:
        (into / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, into / name)
    for name in _FOLDERS:
        # The link from jobs to the chart stays a link: no trainer renders it.
        shutil.copytree(ROOT / name, into / name, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy2(Path(__file__).with_name("worker.py"), into / WORKER)
    shutil.copy2(Path(__file__).with_name("Dockerfile"), into)
    return into
