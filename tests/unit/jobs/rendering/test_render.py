"""Rendering, with each of three real Helms, and `ocrfleet render`."""

import json
import os
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from jobs import cli
from jobs.jobfile import model as jobfile
from jobs.rendering import helm, manifests
from jobs.rendering.render import render, workload
from tests.chart.helm import HELMS, program, rendered
from tests.chart.test_render import CASES, FILES, ROOT
from trainer import contract
from trainer.errors import OcrfleetError, SpecError

JOB = next(path for path in CASES if path.stem == "job-values")
OURS = f"{{{contract.CONTRACT_ANNOTATION}: '{contract.CONTRACT}'}}"
NAMES = [path.stem for path in FILES]


@pytest.fixture(params=HELMS)
def which(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    """Leave `jobs.rendering.helm` one Helm to find."""
    use(request.param, monkeypatch, tmp_path)
    return str(request.param)


def use(name: str, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    found = folder / f"path-{name}"
    found.mkdir()
    monkeypatch.setenv("PATH", str(found))
    if name != "sdk":
        monkeypatch.setitem(sys.modules, "helm_python", None)  # as Python marks what is not installed
        (found / "helm").symlink_to(program(name))


def as_helm_has_it(path: Path) -> list[dict[str, Any]]:
    """Give the objects that a user of Helm alone gets, by kind and name."""
    found = [each for each in yaml.safe_load_all(rendered("helm4", path)) if each]
    kept = [each for each in found if "helm.sh/hook" not in each["metadata"].get("annotations", {})]
    return sorted(kept, key=manifests.name_of)


@pytest.mark.parametrize("path", FILES, ids=NAMES)
def test_a_job_file_gives_what_helm_alone_makes_of_it(path: Path, which: str) -> None:
    found = render(jobfile.load(path))
    assert sorted(found, key=manifests.name_of) == as_helm_has_it(path)


@pytest.mark.parametrize("path", FILES, ids=NAMES)
def test_what_is_written_is_read_the_same(path: Path, ocrfleet: Callable[..., Any]) -> None:
    found = list(render(jobfile.load(path)))
    text = ocrfleet("render", path).out
    assert list(yaml.safe_load_all(text)) == found
    assert manifests.read(text) == found
    assert json.loads(ocrfleet("render", path, "-o", "json").out)["items"] == found


@pytest.mark.parametrize(
    "text", ["1e5", "1e-5", "y", "NO", "0o17", "6:2:2", "2026-11-01", "", " a\nb \n", "~", "é\x85"]
)
def test_a_text_stays_one_for_every_reader(text: str) -> None:
    """PyYAML and Go's YAML take different words for numbers: what either would change stands in quotes."""
    import helm_python

    written = manifests.write([{"kind": "A", "text": text, "list": [text]}])
    assert [each["text"] for each in manifests.read(written)] == [text]
    assert helm_python.values_from_yaml(written) == {"kind": "A", "text": text, "list": [text]}


def test_the_workload_comes_last_and_no_hook_is_among_them(which: str) -> None:
    found = render(jobfile.load(JOB))
    assert [each["kind"] for each in found] == ["NetworkPolicy", "PodMonitor", "Service", "ServiceAccount", "Job"]
    assert workload(found) == found[-1]


def test_a_namespace_is_written_into_each_object_and_changes_nothing_else() -> None:
    job = jobfile.load(JOB)
    for plain, placed in zip(render(job), render(job, namespace="team-ocr"), strict=True):
        assert placed["metadata"].pop("namespace") == "team-ocr"
        assert placed == plain


def test_the_run_file_is_one_line_to_copy_out(ocrfleet: Callable[..., Any]) -> None:
    (line,) = (each for each in ocrfleet("render", JOB).out.splitlines() if "ocrfleet.io/run.yaml: " in each)
    assert json.loads(yaml.safe_load(line)["ocrfleet.io/run.yaml"])["name"] == "receipts-rec"


# --- refusals -------------------------------------------------------------------------------------------------------


def test_the_chart_refuses_with_its_sentence_alone(which: str) -> None:
    job = jobfile.load(JOB, sets=["placement.engine=auto"])
    with pytest.raises(SpecError) as refused:
        render(job)
    assert str(refused.value) == (
        "placement.engine is auto: only `ocrfleet submit` can ask the cluster. "
        "Name one of job, jobset, trainjob, volcano, paddlejob."
    )


@pytest.mark.parametrize("which", ["helm3", "helm4"])
def test_the_schema_refuses_by_the_fields_path(which: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    use(which, monkeypatch, tmp_path)
    values = jobfile.as_dict(jobfile.load(JOB))
    values["placement"] |= {"nodes": 0, "retries": "many"}
    with pytest.raises(SpecError) as refused:
        helm.objects(values)
    first, second = sorted(str(refused.value).splitlines())
    assert first.startswith("placement.nodes: ")
    assert first.endswith("1.")
    assert second.startswith("placement.retries: ")
    assert "integer" in second


def test_without_any_helm_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    use("helm4", monkeypatch, tmp_path)
    (tmp_path / "path-helm4" / "helm").unlink()
    with pytest.raises(
        OcrfleetError, match=r"Install the package helm-python-sdk, or the `helm` program, 3\.16 or newer\."
    ):
        render(jobfile.load(JOB))


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
        render(jobfile.load(JOB))
    assert sentence in str(refused.value)


def test_a_fault_of_the_chart_is_not_the_users(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "templates").mkdir()
    (tmp_path / "Chart.yaml").write_text(f"{{apiVersion: v2, name: ocr-training, version: 0.1.0, annotations: {OURS}}}")
    (tmp_path / "templates" / "a.yaml").write_text('{{ include "gone" . }}')
    use("helm4", monkeypatch, tmp_path)
    monkeypatch.setattr(helm, "CHART", tmp_path)
    with pytest.raises(OcrfleetError, match="a fault of ocrfleet") as fault:
        render(jobfile.load(JOB))
    assert fault.value.exit_code == 1


def test_a_chart_that_is_missing_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(helm, "CHART", tmp_path)
    with pytest.raises(OcrfleetError, match="Install it again"):
        render(jobfile.load(JOB))


def test_a_wheel_has_every_file_of_the_chart_that_helm_reads() -> None:
    tables = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    patterns = tables["tool"]["setuptools"]["package-data"]["jobs.rendering"]
    folder = ROOT / "jobs" / "rendering"
    chart = ROOT / "charts" / "ocr-training"
    packed = {path.relative_to(folder) for pattern in patterns for path in folder.glob(pattern)}
    wanted = {path.relative_to(chart) for path in chart.rglob("*") if path.is_file() and path.suffix != ".md"}
    assert {path for path in wanted if path.parts[0] != "ci"} <= {path.relative_to("chart") for path in packed}


# --- the command ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "name", "value"),
    [
        ([], "namespace", None),
        (["-n", "team"], "namespace", "team"),
        (["--namespace", "team"], "namespace", "team"),
        ([], "output", "yaml"),
        (["-o", "json"], "output", "json"),
        (["--output", "json"], "output", "json"),
        ([], "out", None),
        (["--out", "deploy"], "out", Path("deploy")),
        ([], "sets", []),
        (["--set", "a=1", "--set", "b=2"], "sets", ["a=1", "b=2"]),
        ([], "debug", False),
    ],
)
def test_options(words: list[str], name: str, value: Any) -> None:
    assert vars(cli.build_parser().parse_args(["render", "job.yaml", *words]))[name] == value


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        ([], 2, "the following arguments are required: JOB"),
        ([JOB, "-n", "Team"], 2, "'Team' is not a namespace"),
        ([JOB, "-o", "wide"], 2, "invalid choice: 'wide'"),
        (["none.yaml"], 40, "error: none.yaml is not there."),
        ([JOB, "--set", "placement.nodes=0"], 40, "error: placement.nodes is 0"),
        ([JOB, "--set", "placement.node=1"], 40, "Did you mean 'nodes'?"),
        ([JOB, "--set", "placement.storage.sharedMemory=64Gi"], 40, "error: placement.storage.sharedMemory is 64Gi"),
    ],
)
def test_what_is_wrong_is_a_sentence_and_nothing_is_written(
    words: list[Any], code: int, sentence: str, ocrfleet: Callable[..., Any]
) -> None:
    ran = ocrfleet("render", *words)
    assert (ran.code, ran.out) == (code, "")
    assert sentence in ran.err
    assert "execution error" not in ran.err


def test_auto_is_job_and_that_is_said(ocrfleet: Callable[..., Any]) -> None:
    ran = ocrfleet("render", JOB, "--set", "placement.engine=auto")
    assert ran.err == "placement.engine is auto. Rendering uses no cluster, so it takes the engine `job`.\n"
    assert ran.out == ocrfleet("render", JOB).out


def test_set_and_standard_input(ocrfleet: Callable[..., Any]) -> None:
    found = manifests.read(ocrfleet("render", JOB, "--set", "placement.nodes=3", "-n", "team").out)
    assert found[-1]["spec"]["completions"] == 3
    assert {each["metadata"]["namespace"] for each in found} == {"team"}
    with JOB.open("rb") as given:
        piped = subprocess.run(
            [sys.executable, "-m", "jobs.cli", "render", "-"], stdin=given, capture_output=True, check=True, cwd=ROOT
        )
    assert piped.stdout.decode() == ocrfleet("render", JOB).out


@pytest.mark.parametrize("form", ["yaml", "json"])
def test_a_folder_gets_a_file_for_each_object(form: str, ocrfleet: Callable[..., Any], tmp_path: Path) -> None:
    ran = ocrfleet("render", JOB, "--out", "a/b", "-o", form)
    assert (ran.code, ran.out) == (0, "")
    assert ran.err == "5 objects in a/b: 5 new, 0 changed, 0 unchanged.\n"
    files = {path.name: manifests.read(path.read_text()) for path in (tmp_path / "a" / "b").iterdir()}
    assert files == {f"{manifests.name_of(o).replace('/', '-')}.{form}": [o] for o in render(jobfile.load(JOB))}


def test_rendering_again_replaces_older_forms_and_leaves_other_runs(
    ocrfleet: Callable[..., Any], tmp_path: Path
) -> None:
    ocrfleet("render", JOB, "--out", "a")
    assert ocrfleet("render", JOB, "--out", "a").err.endswith(": 0 new, 0 changed, 5 unchanged.\n")
    policy = "chart.networkPolicy.s3.ports=[9000]"
    assert ocrfleet("render", JOB, "--out", "a", "--set", policy).err.endswith(": 0 new, 1 changed, 4 unchanged.\n")
    ran = ocrfleet("render", JOB, "--out", "a", "--set", policy, "--set", "run.train.seed=1")
    assert ran.err.endswith(": 1 new, 0 changed, 4 unchanged.\n")
    assert len(list((tmp_path / "a").glob("job-*.yaml"))) == 2


@pytest.mark.parametrize("mine", ["mine", "kind: Service\nmetadata: {name: other}\n", "{", "- 1", "1", ""])
def test_what_is_not_that_object_is_never_overwritten(mine: str, ocrfleet: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "service-receipts-rec.yaml").write_text(mine)
    ran = ocrfleet("render", JOB, "--out", "a")
    assert (ran.code, ran.out) == (40, "")
    assert ran.err == (
        "error: a/service-receipts-rec.yaml does not hold service/receipts-rec and was not changed: "
        "choose another folder, or move the file.\n"
    )
    assert [path.read_text() for path in (tmp_path / "a").iterdir()] == [mine]


def test_a_folder_that_cannot_be_written_is_said(ocrfleet: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "a").write_text("a file")
    ran = ocrfleet("render", JOB, "--out", "a")
    assert (ran.code, ran.out) == (40, "")
    assert "cannot be written: Not a directory." in ran.err


def test_render_loads_only_what_it_needs() -> None:
    """By what is imported, not by time."""
    script = (
        "import sys, os; from jobs import cli; out = os.dup(1); os.dup2(2, 1);"
        f"code = cli.main(['render', {str(JOB)!r}]); os.dup2(out, 1); print(code, *sys.modules)"
    )
    ran = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, env=dict(os.environ)
    )
    code, *loaded = ran.stdout.split("\n")[-2].split()
    assert code == "0"
    assert not {"boto3", "obstore", "numpy", "kubernetes", "paddle", "cv2"} & {
        name.partition(".")[0] for name in loaded
    }
