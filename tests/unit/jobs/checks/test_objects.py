"""Whether the chart renders a job is known by rendering it."""

import sys
from pathlib import Path

import pytest

from jobs.checks import objects
from jobs.jobfile import text as jobtext


def test_a_job_that_renders_is_told_with_its_workload(job: Path) -> None:
    (found,) = objects.check(jobtext.read(job))
    assert found.level == "ok"
    assert "job/slips-" in found.text


def test_what_the_chart_refuses_is_an_error_in_its_words(job: Path) -> None:
    (found,) = objects.check(
        jobtext.read(job, sets=["placement.engine=jobset", "placement.nodes=1000", f"name={'a' * 37}"])
    )
    assert found.level == "error"
    assert "name has 37 characters: " in found.text


def test_without_a_helm_it_is_a_warning(job: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setitem(sys.modules, "helm_python", None)  # as Python marks what is not installed
    (found,) = objects.check(jobtext.read(job))
    assert found.level == "warn"
    assert "not rendered" in found.text
