"""Each of three real Helms refuses alike, and what is wrong with a Helm or the chart is said."""

import tomllib
from pathlib import Path

import pytest

from jobs.jobfile import model as jobfile
from jobs.jobfile import text as jobtext
from jobs.rendering import helm
from jobs.rendering.render import render
from tests.chart.test_render import CASES, ROOT
from tests.unit.jobs.rendering.helms import use
from trainer import contract
from trainer.errors import OcrfleetError, SpecError

JOB = next(path for path in CASES if path.stem == "job-values")


OURS = f"{{{contract.CONTRACT_ANNOTATION}: '{contract.CONTRACT}'}}"


@pytest.mark.parametrize("which", ["sdk", "helm3", "helm4"])
def test_the_schema_refuses_by_the_fields_path(which: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    use(which, monkeypatch, tmp_path)
    values = jobfile.as_dict(jobfile.load(JOB))
    values["placement"] |= {"nodes": 0, "retries": "many"}
    with pytest.raises(SpecError) as refused:
        helm.objects(values, engine="job")
    first, second = sorted(str(refused.value).splitlines())
    assert first.startswith("placement.nodes: ")
    assert first.endswith("1.")
    assert second.startswith("placement.retries: ")
    assert "integer" in second


@pytest.mark.parametrize(
    ("printed", "sentence"),
    [
        (
            "Error: execution error at (ocr-training/templates/job.yaml:3:4): nodes is 0. Use 1.\n\nUse --debug flag",
            "nodes is 0. Use 1.",
        ),
        ("execution error at (ocr-training/templates/job.yaml:3:4): no dot", "no dot."),
        (
            "values don't meet the specifications of the schema(s):\nocr-training:\n- at '/run/task': value must be "
            "one of 'det', 'rec'\n- at '': additional properties 'x' not allowed\n",
            "run.task: value must be one of 'det', 'rec'.\nThe job file: additional properties 'x' not allowed.",
        ),
        (
            "values don't meet the specifications of the schema(s):\n- placement.nodes: Must be at least 1.\n",
            "placement.nodes: Must be at least 1.",
        ),
        ("  the specifications of the schema are new\n", "the specifications of the schema are new"),
    ],
)
def test_what_helm_prints_becomes_the_charts_own_sentence(printed: str, sentence: str) -> None:
    refused = helm.refusal(printed)
    assert type(refused) is SpecError
    assert str(refused) == sentence


def test_without_any_helm_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    use("helm4", monkeypatch, tmp_path)
    (tmp_path / "path-helm4" / "helm").unlink()
    with pytest.raises(
        OcrfleetError, match=r"Install the package helm-python-sdk, or the `helm` program, 3\.16 or newer\."
    ):
        render(jobtext.read(JOB))


@pytest.mark.parametrize(
    ("says", "sentence"),
    [
        ("v3.15.4", "/helm is Helm v3.15.4, older than 3.16. Install the package helm-python-sdk"),
        ("v2.17.0", "/helm is Helm v2.17.0, older than 3.16."),
        ("hello", "/helm does not print Helm's version. Install"),
    ],
)
def test_an_old_helm_is_refused_by_its_version(
    says: str, sentence: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """No package carries an old Helm, so a program that says the version of one stands in for it."""
    use("helm4", monkeypatch, tmp_path)
    old = tmp_path / "path-helm4" / "helm"
    old.unlink()
    old.write_text(f"#!/bin/sh\necho {says}\n")
    old.chmod(0o755)
    with pytest.raises(OcrfleetError) as refused:
        render(jobtext.read(JOB))
    assert sentence in str(refused.value)


def test_the_oldest_helm_that_is_known_to_do_is_taken(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    use("helm4", monkeypatch, tmp_path)
    oldest = tmp_path / "path-helm4" / "helm"
    real = oldest.rename(oldest.with_name("real"))
    oldest.write_text(f'#!/bin/sh\n[ "$1" = version ] && echo v3.16.0 || exec {real} "$@"\n')
    oldest.chmod(0o755)
    assert [found["kind"] for found in render(jobtext.read(JOB)).objects][-1] == "Job"


def test_a_chart_of_another_contract_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "Chart.yaml").write_text("{apiVersion: v2, name: ocr-training, version: 0.0.1}")
    monkeypatch.setattr(helm, "CHART", tmp_path)
    with pytest.raises(SpecError, match=r"belongs to ocrfleet 0\.0\.1 with contract unknown"):
        render(jobtext.read(JOB))


def test_a_fault_of_the_chart_is_not_the_users(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "templates").mkdir()
    (tmp_path / "Chart.yaml").write_text(f"{{apiVersion: v2, name: ocr-training, version: 0.1.0, annotations: {OURS}}}")
    (tmp_path / "templates" / "a.yaml").write_text('{{ include "gone" . }}')
    use("helm4", monkeypatch, tmp_path)
    monkeypatch.setattr(helm, "CHART", tmp_path)
    with pytest.raises(OcrfleetError, match="a fault of ocrfleet") as fault:
        render(jobtext.read(JOB))
    assert fault.value.exit_code == 1


def test_a_chart_that_is_missing_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(helm, "CHART", tmp_path)
    with pytest.raises(OcrfleetError, match="Install it again"):
        render(jobtext.read(JOB))


def test_a_wheel_has_every_file_of_the_chart_that_helm_reads() -> None:
    tables = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    patterns = tables["tool"]["setuptools"]["package-data"]["jobs.rendering"]
    folder = ROOT / "jobs" / "rendering"
    chart = ROOT / "charts" / "ocr-training"
    packed = {path.relative_to(folder) for pattern in patterns for path in folder.glob(pattern)}
    wanted = {path.relative_to(chart) for path in chart.rglob("*") if path.is_file() and path.suffix != ".md"}
    assert {path for path in wanted if path.parts[0] != "ci"} <= {path.relative_to("chart") for path in packed}
