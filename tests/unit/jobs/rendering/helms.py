"""One Helm on PATH, of the three that tests have."""

import sys
from pathlib import Path

import pytest

from tests.chart.helm import program


def use(name: str, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    found = folder / f"path-{name}"
    found.mkdir()
    monkeypatch.setenv("PATH", str(found))
    if name != "sdk":
        monkeypatch.setitem(sys.modules, "helm_python", None)  # as Python marks what is not installed
        (found / "helm").symlink_to(program(name))
