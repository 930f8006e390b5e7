"""`ocrfleet check`: all findings at once, as text and as data."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any


def test_one_failed_check_does_not_hide_the_others(job: Path, ocrfleet: Callable[..., Any]) -> None:
    ran = ocrfleet("check", job, "--set", "run.recipe=x", "--set", "run.data.train=file:///none")
    assert ran.out.splitlines()[-1].startswith("The job cannot run: 2 errors.")


def test_check_as_json(job: Path, ocrfleet: Callable[..., Any]) -> None:
    result = json.loads(ocrfleet("check", job, "-o", "json").out)
    assert result["code"] == 0
    assert {finding["level"] for finding in result["findings"]} <= {"ok", "warn"}
