"""The driver's own library is asked; a compiled stand-in has its calls."""

from pathlib import Path

from tests.unit.trainer.system import drivers
from trainer.system import cuda


def test_every_device_is_described(tmp_path: Path) -> None:
    library = drivers.library(tmp_path, devices=2)
    assert cuda.report(str(library)) == {
        "cuda": "12.4",
        "devices": [
            {"name": "NVIDIA A100-SXM4-80GB", "memory": 85_000_000_000, "capability": [8, 0]},
            {"name": "Tesla T4", "memory": 16_000_000_000, "capability": [7, 5]},
        ],
    }


def test_without_a_driver_there_is_no_device(tmp_path: Path) -> None:
    assert cuda.report(str(tmp_path / "libcuda.so.1")) == {"cuda": None, "devices": []}


def test_an_error_of_the_driver_has_its_name_and_number(tmp_path: Path) -> None:
    library = drivers.library(tmp_path, code=802)
    error = "CUDA_ERROR_SYSTEM_NOT_READY (802)"
    assert cuda.report(str(library)) == {"cuda": None, "devices": [], "error": error, "code": 802}
