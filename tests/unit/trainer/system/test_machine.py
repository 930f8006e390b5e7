"""What a machine has: its own numbers, and a driver and a Paddle of the test's."""

import json
import os
import resource
import shutil
import sys
from pathlib import Path

import pytest

from tests.unit.trainer.system import drivers
from trainer.system import machine

ROOT = Path(__file__).parents[4]


@pytest.fixture
def gpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An A100 and a T4."""
    drivers.library(tmp_path / "driver", devices=2)
    monkeypatch.setenv("LD_LIBRARY_PATH", str(tmp_path / "driver"))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setattr(sys, "path", [str(drivers.paddle(tmp_path / "packages", drivers.FOR_CUDA)), *sys.path])


def test_this_machines_own_numbers_are_the_kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NVIDIA_TF32_OVERRIDE", "0")
    found = machine.look(devices=False)
    assert found.cores == len(os.sched_getaffinity(0))
    assert found.memory == os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    assert found.memory_limit is None or found.memory_limit < found.memory
    assert found.shared_memory == shutil.disk_usage("/dev/shm").total
    assert found.memlock == (lambda soft: None if soft == -1 else soft)(resource.getrlimit(resource.RLIMIT_MEMLOCK)[0])
    assert found.tf32_override == "0"


def test_without_shared_memory_its_size_is_not_known(tmp_path: Path) -> None:
    assert machine.look(devices=False, shared_memory=tmp_path / "none").shared_memory is None


@pytest.mark.usefixtures("gpus")
def test_a_format_that_one_device_lacks_is_not_supported(tmp_path: Path) -> None:
    found = machine.look()
    assert [device.name for device in found.driver.devices] == ["NVIDIA A100-SXM4-80GB", "Tesla T4"]
    assert (found.bfloat16, found.tf32) == (False, False)
    drivers.library(tmp_path / "driver", devices=1)
    assert (machine.look().bfloat16, machine.look().tf32) == (True, True)


@pytest.mark.usefixtures("gpus")
def test_the_driver_is_not_asked_for_a_run_on_cpus() -> None:
    assert machine.look(devices=False).driver.devices == ()


@pytest.mark.usefixtures("gpus")
def test_facts_are_json_with_every_key() -> None:
    """Also those that have their default: who reads them need not know which may be missing."""
    facts = json.loads(json.dumps(machine.facts(machine.look())))
    assert facts["paddle"] == {"version": "3.2.2", "cuda": "12.6", "cudnn": "9.5.1", "nccl": "2.27.3"}
    assert facts["driver"].keys() == {"version", "cuda", "devices", "error", "code"}
    assert facts["driver"]["error"] == ""
    assert facts["driver"]["devices"][1] == {"name": "Tesla T4", "memory": 16_000_000_000, "capability": [7, 5]}
