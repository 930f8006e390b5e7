"""Which device this machine can train on, told without importing Paddle."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.unit.trainer.system import drivers
from trainer.errors import SpecError, TransientError
from trainer.system import device

Have = Callable[..., None]


@pytest.fixture
def have(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Have:
    """Let this machine have a Paddle with these versions, and a driver."""

    def make(paddle: tuple[str, ...] | None, *, devices: int = 1, code: int = 0, before: str = "") -> None:
        packages = drivers.paddle(tmp_path / "packages", paddle) if paddle else tmp_path
        monkeypatch.setattr(sys, "path", [str(packages)])
        drivers.library(tmp_path / "driver", devices=devices, code=code, before=before)
        monkeypatch.setenv("LD_LIBRARY_PATH", str(tmp_path / "driver"))
        monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[4]))

    return make


def test_a_cpu_needs_nothing(have: Have) -> None:
    have(None)
    device.require("cpu", count=64)


def test_a_gpu_with_a_paddle_for_it_is_enough(have: Have) -> None:
    have(drivers.FOR_CUDA, devices=2)
    device.require("gpu", count=2)


@pytest.mark.parametrize(
    ("paddle", "machine", "says"),
    [
        (None, {}, "PaddlePaddle is not installed here. Use an image built with `make image-gpu`"),
        (
            drivers.FOR_CPU,
            {},
            "The device is `gpu`, but PaddlePaddle 3.2.2 is installed without CUDA: it trains on CPUs only. Use an "
            "image built with `make image-gpu`, or set placement.device to `cpu`.",
        ),
        (drivers.FOR_CUDA, {"code": 100}, "this machine has no CUDA device: NVIDIA's driver finds no device."),
        (drivers.FOR_CUDA, {"devices": 0}, "this machine has no CUDA device: NVIDIA's driver finds no device."),
        (
            drivers.FOR_CUDA,
            {"devices": 1},
            "The run needs 2 GPUs on this machine, which has 1 CUDA device. Lower placement.devicesPerNode",
        ),
        (
            ("full_version = '3.9.0'", "cuda_version = '13.0'"),
            {"devices": 2},
            "PaddlePaddle is built for CUDA 13.0, but the driver of this machine supports CUDA 12.4 at most.",
        ),
    ],
    ids=["no Paddle", "a Paddle for CPUs", "no device", "none is visible", "too few", "an old driver"],
)
def test_a_retry_does_not_help_where_a_gpu_cannot_be_used(
    have: Have, paddle: tuple[str, ...] | None, machine: dict[str, int], says: str
) -> None:
    have(paddle, **machine)
    with pytest.raises(SpecError) as refused:
        device.require("gpu", count=2)
    assert says in str(refused.value)


@pytest.mark.parametrize(
    ("machine", "says"),
    [
        ({"code": 802}, "The CUDA driver does not work: CUDA_ERROR_SYSTEM_NOT_READY (802)."),
        ({"before": "abort()"}, "The CUDA driver does not work: it crashed (-6: "),
        ({"before": "pause()"}, "The CUDA driver does not work: no answer within 1 s."),
    ],
    ids=["an error", "a crash", "no answer"],
)
def test_a_driver_that_does_not_work_now_is_tried_again(
    have: Have, monkeypatch: pytest.MonkeyPatch, machine: dict[str, int], says: str
) -> None:
    have(drivers.FOR_CUDA, **machine)
    if "pause" in str(machine):
        monkeypatch.setattr(device, "_DEADLINE", 1.0)
    with pytest.raises(TransientError) as failed:
        device.require("gpu", count=1)
    assert says in str(failed.value)


def test_the_drivers_library_does_not_see_the_keys_of_the_bucket(have: Have, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "canary")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    have(drivers.FOR_CUDA, before='if (getenv("AWS_SECRET_ACCESS_KEY") || !getenv("CUDA_VISIBLE_DEVICES")) return 802')
    assert device.driver().error == ""


def test_without_nvidias_driver_there_is_no_device(have: Have, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    have(drivers.FOR_CUDA)
    monkeypatch.setenv("LD_LIBRARY_PATH", str(tmp_path / "none"))
    if device.driver().cuda:
        pytest.skip("this machine has a driver")
    with pytest.raises(SpecError, match="no CUDA device: NVIDIA's driver is not here"):
        device.require("gpu", count=1)


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.54.14  Thu Feb 22 01:44:30 UTC 2024\n", "550.54.14"),
        (
            "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  570.86.15  Release Build  (x86_64)\n",
            "570.86.15",
        ),
        ("", None),
    ],
    ids=["proprietary", "open", "empty"],
)
def test_the_kernel_module_says_the_drivers_version(have: Have, tmp_path: Path, text: str, version: str | None) -> None:
    have(drivers.FOR_CUDA)
    module = tmp_path / "version"
    module.write_text(text)
    assert device.driver(kernel_module=module).version == version


def test_a_device_says_which_formats_it_has(have: Have) -> None:
    have(drivers.FOR_CUDA, devices=2)
    a100, t4 = device.driver().devices
    assert (a100.name, a100.memory, a100.capability) == ("NVIDIA A100-SXM4-80GB", 85_000_000_000, (8, 0))
    assert (a100.ampere, t4.ampere) == (True, False)


@pytest.mark.parametrize(
    ("lines", "versions"),
    [
        (drivers.FOR_CUDA, ("3.2.2", "12.6", "9.5.1", "2.27.3")),
        ((*drivers.FOR_CUDA, "nccl_version = '2804'"), ("3.2.2", "12.6", "9.5.1", "2.8.4")),
        (drivers.FOR_CPU, ("3.2.2", None, None, None)),
        ((), ("of an unknown version", None, None, None)),
    ],
    ids=["for CUDA", "with an old NCCL", "for CPUs", "an empty file"],
)
def test_paddles_versions_are_read_without_importing_it(
    have: Have, tmp_path: Path, lines: tuple[str, ...], versions: tuple[str | None, ...]
) -> None:
    have(None)
    sys.path[:] = [str(drivers.paddle(tmp_path / "packages", lines))]
    found = device.paddle()
    assert found
    assert (found.version, found.cuda, found.cudnn, found.nccl) == versions


def test_the_libraries_of_paddle_are_those_of_its_packages(have: Have, tmp_path: Path) -> None:
    """Paddle's wheel loads them from there, whatever it was built with."""
    have(drivers.FOR_CUDA)
    for name, version in (("nvidia-cudnn-cu12", "9.5.1.17"), ("nvidia-nccl-cu12", "2.25.1")):
        about = tmp_path / "packages" / f"{name.replace('-', '_')}-{version}.dist-info" / "METADATA"
        about.parent.mkdir()
        about.write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    found = device.paddle()
    assert found
    assert (found.cudnn, found.nccl) == ("9.5.1.17", "2.25.1")


def test_the_paddle_that_is_installed_here_is_found() -> None:
    """Its file of versions is Paddle's own form, and not a test's."""
    asked = "import paddle, json; print(json.dumps([paddle.__version__, paddle.version.cuda()]))"
    ran = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True)
    found = device.paddle()
    assert found
    assert str([found.version, found.cuda or "False"]).replace("'", '"') == ran.stdout.splitlines()[-1]
