"""`ocrfleet diff`: its exit code, its text and its data."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.unit.jobs.apiserver import ApiServer
from tests.unit.jobs.submitted import job

__all__ = ["job"]

Ocrfleet = Callable[..., Any]


def test_without_any_run_of_the_name_it_is_new(api: ApiServer, ocrfleet: Ocrfleet, job: Path) -> None:
    ran = ocrfleet("diff", job)
    assert ran.code == 1
    assert ran.out.startswith("A new run slips-rec-")
    assert "the namespace default has no run of the job slips-rec" in ran.out


@pytest.mark.parametrize("option", ["-o", "--output"])
def test_the_same_as_data(api: ApiServer, ocrfleet: Ocrfleet, job: Path, option: str) -> None:
    ocrfleet("submit", job)
    found = json.loads(ocrfleet("diff", job, "--set", "run.train.seed=1", option, "json").out)
    assert found["same"] is False
    assert found["changes"] == ["run.train.seed: 42 -> 1"]


def test_the_engine_that_is_chosen_is_said_and_compared(api: ApiServer, ocrfleet: Ocrfleet, job: Path) -> None:
    words = (job, "--set", "placement.engine=auto", "--set", "placement.nodes=2")
    ocrfleet("submit", *words)
    ran = ocrfleet("diff", *words)
    assert ran.code == 0, ran.out
    assert "placement.engine is auto: job, because " in ran.err


def test_an_error_is_no_difference(api: ApiServer, ocrfleet: Ocrfleet, job: Path) -> None:
    assert ocrfleet("diff", job, "slips-rec-00000000").code == 40
    api.refused |= {("list", plural) for plural in ("jobs", "jobsets", "trainjobs", "paddlejobs")}
    assert ocrfleet("diff", job).code == 42
