"""`ocrfleet doctor`: what it prints of this machine, and of a store."""

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.unit.trainer.system import drivers

ROOT = Path(__file__).parents[4]


@pytest.fixture
def have(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Let this machine have a Paddle with these versions, and a driver."""

    def make(paddle: tuple[str, ...], **driver: Any) -> None:
        drivers.library(tmp_path / "driver", **driver)
        monkeypatch.setenv("LD_LIBRARY_PATH", str(tmp_path / "driver"))
        monkeypatch.setenv("PYTHONPATH", str(ROOT))
        monkeypatch.setattr(sys, "path", [str(drivers.paddle(tmp_path / "packages", paddle)), *sys.path])

    return make


def rows(text: str) -> dict[str, str]:
    return {name.strip(): value for name, value in (line.split("   ", 1) for line in text.splitlines())}


def test_a_machine_with_gpus(have: Callable[..., None], ocrfleet: Callable[..., Any]) -> None:
    have(drivers.FOR_CUDA, devices=2)
    ran = ocrfleet("doctor")
    assert ran.code == 0
    found = {name: value.strip() for name, value in rows(ran.out).items()}
    assert found["PaddlePaddle"] == "3.2.2, for CUDA 12.6"
    assert (found["cuDNN"], found["NCCL"]) == ("9.5.1", "2.27.3")
    assert found["NVIDIA driver"].endswith(", for CUDA 12.4 and older")
    assert found["device 0"] == "NVIDIA A100-SXM4-80GB, 85.0 GB, compute capability 8.0"
    assert found["device 1"] == "Tesla T4, 16.0 GB, compute capability 7.5"
    assert found["bf16"] == found["TF32"] == "not supported by all devices"


@pytest.mark.parametrize(
    ("override", "says"), [("0", "turned off by NVIDIA_TF32_OVERRIDE=0"), ("1", "supported"), ("", "supported")]
)
def test_tf32_may_be_turned_off(
    have: Callable[..., None], ocrfleet: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, override: str, says: str
) -> None:
    have(drivers.FOR_CUDA, devices=1)
    monkeypatch.setenv("NVIDIA_TF32_OVERRIDE", override)
    assert rows(ocrfleet("doctor").out)["TF32"].strip() == says


def test_a_driver_that_does_not_work_is_named(have: Callable[..., None], ocrfleet: Callable[..., Any]) -> None:
    have(drivers.FOR_CPU, code=802)
    ran = ocrfleet("doctor")
    assert ran.code == 0
    found = {name: value.strip() for name, value in rows(ran.out).items()}
    assert found["PaddlePaddle"] == "3.2.2, for CPUs"
    assert found["NVIDIA driver"] == "does not work: CUDA_ERROR_SYSTEM_NOT_READY (802)"
    assert "device 0" not in found


def test_paddle_need_not_be_installed(
    ocrfleet: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", [path for path in sys.path if not (Path(path) / "paddle").exists()])
    ran = ocrfleet("doctor")
    assert ran.code == 0
    assert rows(ran.out)["PaddlePaddle"].strip() == "not installed"


def test_the_store_of_a_job_or_of_a_location_is_asked(job: Path, ocrfleet: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    for named in (job, (tmp_path / "models").as_uri()):
        said = rows(ocrfleet("doctor", named).out)["store"]
        assert f"file://{tmp_path}/models" in said
        assert "5 requests, median" in said
        store = json.loads(ocrfleet("doctor", named, "-o", "json").out)["store"]
        assert 0 < store["median"] <= store["slowest"]


def test_an_error_of_the_store_gives_the_exit_code_and_hides_nothing(
    ocrfleet: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [each for each in os.environ if each.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
    ran = ocrfleet("doctor", "s3://models-of-nobody/")
    assert ran.code == 42
    found = rows(ran.out)
    assert "s3://models-of-nobody/: No credentials for s3://models-of-nobody." in found["store"]
    assert "cores" in found
    assert json.loads(ocrfleet("doctor", "s3://models-of-nobody/", "-o", "json").out)["cores"] > 0
