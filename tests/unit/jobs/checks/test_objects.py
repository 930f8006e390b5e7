"""Whether the chart renders a job is known by rendering it."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

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


def test_auto_is_rendered_as_a_job(job: Path, ocrfleet: Callable[..., Any]) -> None:
    ran = ocrfleet("check", job, "--set", "placement.engine=auto")
    assert (ran.code, "among them job/slips-" in ran.out) == (0, True)


def test_what_the_chart_refuses_is_the_exit_code_though_the_dataset_is_wrong_too(
    job: Path, ocrfleet: Callable[..., Any], tmp_path: Path
) -> None:
    (tmp_path / "pages" / "Label.txt").write_text("")
    assert ocrfleet("check", job).code == 41
    ran = ocrfleet("check", job, "--set", "notify.webhookSecret=hook")
    assert ran.code == 40
    assert "error  notify.webhookSecret is set, but webhooks are not available yet" in ran.out
    assert ran.out.splitlines()[-1].startswith("The job cannot run: 2 errors.")
