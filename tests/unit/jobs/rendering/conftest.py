"""What tests of rendering have in common."""

from pathlib import Path

import pytest

from tests.chart.helm import HELMS
from tests.unit.jobs.rendering.helms import use


@pytest.fixture(params=HELMS)
def which(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    """Leave `jobs.rendering.helm` one Helm to find."""
    use(request.param, monkeypatch, tmp_path)
    return str(request.param)
