"""The working folder may be a dataset, or be written to by workers: no file there is imported as a module."""

import os
import shlex
import subprocess
import sys
import venv
from pathlib import Path
from typing import Final

import pytest

from jobs.commands import predict
from jobs.local import plan
from trainer.datasets import image_workers
from trainer.node import supervisor

ROOT: Final = Path(__file__).parents[2]
PLANTED: Final = "from pathlib import Path\nPath('imported').touch()\n"


def imports_from_there(folder: Path, program: tuple[str, ...], environ: dict[str, str]) -> bool:
    """Start a program in a folder that has modules of the names of ours and of libraries."""
    for name in ("trainer", "numpy", "msgspec"):
        (folder / name).mkdir()
        (folder / name / "__init__.py").write_text(PLANTED)
    known = {name: value for name, value in os.environ.items() if name != "PYTHONSAFEPATH"}
    environ = {**known, **environ, "PYTHONPATH": str(ROOT)}
    subprocess.run([*program, "--help"], cwd=folder, env=environ, capture_output=True, check=False)
    return (folder / "imported").exists()


QUICK: Final = "trainer.system.cpu"
"""A module that is run in the place of one that imports paddle."""


@pytest.mark.parametrize(
    "program",
    [image_workers.PROGRAM, (*supervisor.CONFINED, QUICK), (*predict.PROGRAM[:-1], QUICK), plan.NODE_PROGRAM],
)
def test_no_process_that_we_start_imports_from_the_working_folder(tmp_path: Path, program: tuple[str, ...]) -> None:
    assert not imports_from_there(tmp_path, program, {})


def of_the_image() -> dict[str, str]:
    """The variables of Python that the image sets."""
    lines = [line for line in (ROOT / "Dockerfile").read_text("utf-8").splitlines() if line.startswith("ENV ")]
    pairs = [word.split("=", 1) for line in lines for word in shlex.split(line)[1:]]
    return {name: value for name, value in pairs if name.startswith("PYTHON")}


def test_nor_does_the_node_of_a_pod(tmp_path: Path) -> None:
    """It is started by the chart, in the image's environment."""
    assert not imports_from_there(tmp_path, (sys.executable, "-m", "trainer"), of_the_image())


def test_no_process_of_a_pod_imports_from_its_home_directory(tmp_path: Path) -> None:
    """An environment on top of a base's packages would, and the home directory is /tmp."""
    venv.create(tmp_path / "venv", system_site_packages=True, symlinks=True)
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    site = tmp_path / "home" / ".local" / "lib" / version / "site-packages"
    site.mkdir(parents=True)
    (site / "usercustomize.py").write_text(PLANTED)
    python, environ = str(tmp_path / "venv" / "bin" / "python"), {"HOME": str(tmp_path / "home")}
    subprocess.run([python, "-c", ""], cwd=tmp_path, env=environ, check=True)
    assert (tmp_path / "imported").exists(), "else this test shows nothing"
    (tmp_path / "imported").unlink()
    subprocess.run([python, "-c", ""], cwd=tmp_path, env={**environ, **of_the_image()}, check=True)
    assert not (tmp_path / "imported").exists()
