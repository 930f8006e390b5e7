"""`ocrfleet render`: what it prints, which files it writes, and which it leaves alone."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from jobs import cli
from jobs.jobfile import text as jobtext
from jobs.rendering import manifests
from jobs.rendering.render import render
from tests.chart.test_render import CASES, FILES, ROOT

JOB = next(path for path in CASES if path.stem == "job-values")


NAMES = [path.stem for path in FILES]


@pytest.mark.parametrize("path", FILES, ids=NAMES)
def test_what_is_written_is_read_the_same(path: Path, ocrfleet: Callable[..., Any]) -> None:
    found = list(render(jobtext.read(path)).objects)
    text = ocrfleet("render", path).out
    assert list(yaml.safe_load_all(text)) == found
    assert manifests.read(text) == found
    assert json.loads(ocrfleet("render", path, "-o", "json").out)["items"] == found


def test_the_run_file_is_one_line_to_copy_out(ocrfleet: Callable[..., Any]) -> None:
    (line,) = (each for each in ocrfleet("render", JOB).out.splitlines() if "ocrfleet.io/run.yaml: " in each)
    assert json.loads(yaml.safe_load(line)["ocrfleet.io/run.yaml"])["name"] == "receipts-rec"


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
        (["none.yaml"], 40, "error: none.yaml does not exist."),
        ([JOB, "--set", "placement.nodes=0"], 40, "error: placement.nodes is 0"),
        ([JOB, "--set", "placement.node=1"], 40, "Did you mean 'nodes'?"),
        ([JOB, "--set", "placement.storage.scratch=2048Mi"], 40, "error: placement.storage.scratch is '2048Mi'"),
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
    objects = render(jobtext.read(JOB)).objects
    assert files == {f"{manifests.name_of(each).replace('/', '-')}.{form}": [each] for each in objects}


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
