"""Command line, chart and trainer's image of different contracts refuse one another with a sentence."""

import importlib.metadata
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from docs.chart import CHART
from jobs import cli
from jobs.jobfile import text as jobtext
from jobs.rendering import helm
from jobs.rendering.render import render
from tests.chart.helm import helm as real_helm
from tests.chart.test_codes import environment
from tests.chart.test_leaves import ENGINES
from tests.chart.test_render import CASES, ROOT, workload
from tests.unit.trainer.system import drivers
from trainer import __main__ as node
from trainer import contract
from trainer.contract import ExitCode
from trainer.errors import SpecError

JOB = next(path for path in CASES if path.stem == "job-values")


@pytest.fixture(params=["2", None], ids=["another", "none"])
def other(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A chart of another contract, or of the time before there were any."""
    chart = shutil.copytree(CHART, tmp_path / "chart")
    about = yaml.safe_load((chart / "Chart.yaml").read_text("utf-8"))
    about["annotations"] = {contract.CONTRACT_ANNOTATION: request.param} if request.param else {}
    about["version"] = "9.8.7"
    (chart / "Chart.yaml").write_text(yaml.safe_dump(about), "utf-8")
    return chart


@pytest.mark.parametrize("deed", [[], ["--prove-access"]], ids=["run", "helm-test"])
def test_a_pod_of_another_chart_ends_before_it_reads_anything(
    deed: list[str], other: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Helm installs whichever chart it is given; its pod's environment then meets this trainer."""
    made = workload(real_helm("helm4", "template", "x", other, "--values", JOB))
    (container,) = made["spec"]["template"]["spec"]["containers"]
    for each in container["env"]:
        if "value" in each:
            monkeypatch.setenv(each["name"], each["value"])
    monkeypatch.setenv(contract.ENV_WORKDIR, str(tmp_path / "work"))
    monkeypatch.setattr("sys.argv", ["trainer", *deed])
    assert node.main() == ExitCode.SPEC
    said = capsys.readouterr().err
    assert re.fullmatch(
        r"error: This trainer is ocrfleet \S+ with contract 1, but its pod has (contract '2'|no contract) "
        r"\(OCRFLEET_CONTRACT\)\. Set placement\.image to the trainer of the chart's version, or .*\.\n",
        said,
    )
    assert not (tmp_path / "work").exists()


def test_the_command_line_refuses_another_chart(
    other: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(helm, "CHART", other)
    for words in (["render", str(JOB)], ["submit", "--dry-run=client", str(JOB)]):
        assert cli.main(words) == ExitCode.SPEC
        out, said = capfd.readouterr()
        assert out == ""
        assert f"error: The chart in {other} belongs to ocrfleet 9.8.7 with contract " in said
        assert f"to ocrfleet {contract.VERSION} with contract 1: install both from one wheel." in said
    with pytest.raises(SpecError):
        render(jobtext.read(JOB))


@pytest.mark.parametrize("engine", ENGINES)
def test_a_pod_of_every_engine_is_told_the_contract(engine: str) -> None:
    assert environment(engine)[contract.ENV_CONTRACT] == str(contract.CONTRACT)


def test_the_command_line_says_its_contract(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        cli.main(["--version"])
    assert capfd.readouterr().out == f"ocrfleet {contract.VERSION}, contract {contract.CONTRACT}\n"
    assert cli.main(["version", "-o", "json"]) == 0
    assert json.loads(capfd.readouterr().out)["contract"] == contract.CONTRACT


def test_make_image_labels_the_image_with_version_and_contract() -> None:
    """The Dockerfile compares both with the code inside, and ends the build where they differ."""
    given = {"VERSION": contract.VERSION, "CONTRACT": str(contract.CONTRACT)}
    command = ["make", "--dry-run", "--no-print-directory", "image", "BUILDER=a-builder"]
    printed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    (build,) = (line for line in printed if line.startswith("a-builder build "))
    assert dict(re.findall(r"--build-arg (\w+)=(\S+)", build)) == given
    assert f"--tag ocrfleet/trainer:{contract.VERSION} " in build
    *_, last = re.split("^FROM ", (ROOT / "Dockerfile").read_text("utf-8"), flags=re.MULTILINE)
    labels = dict(re.findall(r'([\w.]+)="\$(\w+)"', last[last.index("LABEL") :]))
    assert labels == {
        "org.opencontainers.image.version": "VERSION",
        "io.ocrfleet.contract": "CONTRACT",
        "io.ocrfleet.device": "DEVICE",
    }
    assert {*(f"ARG {name}" for name in given), "ARG DEVICE=cpu"} <= set(last.splitlines())
    assert any("This image trains on CPUs" in line for line in printed)


def test_the_build_ends_where_version_or_contract_is_not_that_of_the_code() -> None:
    """The line of the Dockerfile itself, without a container."""
    text = (ROOT / "Dockerfile").read_text("utf-8").replace("\\\n", "")
    (program,) = re.findall(r"python -c '(from trainer import contract;.*?)'", text)

    def ends(*words: str) -> Any:
        command = [sys.executable, "-c", program, *words]
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

    assert ends(contract.VERSION, str(contract.CONTRACT)).returncode == 0
    for words in (("", ""), (contract.VERSION, "2"), ("9.8.7", str(contract.CONTRACT))):
        ended = ends(*words)
        assert ended.returncode == 1
        assert f"VERSION and CONTRACT are {list(words)}, and the code has" in ended.stderr
        assert "build with `make image`" in ended.stderr


@pytest.mark.parametrize(("versions", "inside"), [(drivers.FOR_CPU, "cpu"), (drivers.FOR_CUDA, "gpu")])
def test_the_build_ends_where_the_paddle_inside_is_for_another_device(
    tmp_path: Path, versions: tuple[str, ...], inside: str
) -> None:
    """The line of the Dockerfile itself, without a container."""
    text = (ROOT / "Dockerfile").read_text("utf-8").replace("\\\n", "")
    (program,) = re.findall(r"python -c '(from trainer.system import device;.*?)'", text)
    environ = {**os.environ, "PYTHONPATH": f"{drivers.paddle(tmp_path, versions)}:{ROOT}"}

    def ends(device: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", program, device]
        return subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, check=False)

    assert ends(inside).returncode == 0
    for device in {"cpu", "gpu", ""} - {inside}:
        ended = ends(device)
        assert ended.returncode == 1
        assert f"DEVICE is {device}, and the PaddlePaddle inside is for {inside}" in ended.stderr


def test_the_version_is_the_packages() -> None:
    assert importlib.metadata.version("ocrfleet") == contract.VERSION
