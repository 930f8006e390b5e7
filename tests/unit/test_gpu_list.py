"""PaddlePaddle for GPUs is installed by exact versions and hashes, and never next to the one for CPUs."""

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from tests.unit.test_hashes import DOCKERFILE, MAKEFILE, ROOT, hashes_of_pins, pins_of
from tests.unit.trainer.system import drivers

LINUX = "cp311-cp311-linux_x86_64"
ANYWHERE = "py3-none-any"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
EXTRAS: dict[str, list[str]] = PROJECT["optional-dependencies"]

Lock = Callable[..., subprocess.CompletedProcess[str]]


def all_of(extra: str) -> set[str]:
    """Return the names of all packages that an extra leads to, over the project's own extras."""
    found = set()
    for line in EXTRAS[extra]:
        need = Requirement(line)
        found |= {name for inner in need.extras for name in all_of(inner)} if need.name == "ocrfleet" else {need.name}
    return found


def test_paddle_for_gpus_is_never_installed_next_to_that_for_cpus() -> None:
    """Both write into the folder `paddle`."""
    cpu, gpu = all_of("trainer"), all_of("gpu")
    assert cpu - gpu == {"paddlepaddle"}
    assert gpu - cpu == {"paddlepaddle-gpu"}
    assert not any({"paddlepaddle", "paddlepaddle-gpu"} & all_of(extra) for extra in EXTRAS.keys() - {"trainer", "gpu"})


def test_both_paddles_have_the_pinned_version() -> None:
    [locked] = [pin.partition("==")[2] for pin in pins_of("lock.txt") if pin.startswith("paddlepaddle==")]
    assert f"paddlepaddle=={locked}" in EXTRAS["trainer"]
    assert f"paddlepaddle-gpu=={locked}" in EXTRAS["gpu"]


def wheel(index: Path, name: str, version: str, *, tags: str = ANYWHERE, needs: Sequence[str] = ()) -> Path:
    """Add a wheel without content to a local package index."""
    stem = f"{name.replace('-', '_')}-{version}"
    folder = index / name
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{stem}-{tags}.whl"
    about = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
    about += "".join(f"Requires-Dist: {need}\n" for need in needs)
    with zipfile.ZipFile(path, "w") as file:
        file.writestr(f"{stem}.dist-info/METADATA", about)
        file.writestr(f"{stem}.dist-info/WHEEL", f"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: {tags}\n")
        file.writestr(f"{stem}.dist-info/RECORD", "")
    links = "".join(f'<a href="{each.name}">{each.name}</a>\n' for each in sorted(folder.glob("*.whl")))
    (folder / "index.html").write_text(f"<!DOCTYPE html><html><body>{links}</body></html>")
    return path


@pytest.fixture
def lock(tmp_path: Path) -> Lock:
    """Lock what PaddlePaddle needs, out of two local package indexes: its own, and `pypi`."""
    (tmp_path / "pypi").mkdir()

    def run(*needs: str) -> subprocess.CompletedProcess[str]:
        [requirement] = [need for need in EXTRAS["gpu"] if need.startswith("paddlepaddle-gpu==")]
        wheel(tmp_path / "paddle", "paddlepaddle-gpu", requirement.partition("==")[2], tags=LINUX, needs=needs)
        words = [sys.executable, str(ROOT / "requirements" / "gpu.py"), "12.6", "--list", "gpu/cu126.txt"]
        words += ["--index", (tmp_path / "paddle").as_uri(), "--wheels", "wheels"]
        mine = {"PIP_INDEX_URL": (tmp_path / "pypi").as_uri(), "PIP_CONFIG_FILE": os.devnull, "PIP_NO_CACHE_DIR": "1"}
        environ = {name: value for name, value in os.environ.items() if not name.startswith("PIP_")} | mine
        return subprocess.run(words, cwd=tmp_path, env=environ, capture_output=True, text=True, timeout=60, check=False)

    return run


def test_the_list_has_what_the_lock_lacks_with_the_hashes_of_the_files(lock: Lock, tmp_path: Path) -> None:
    """Which files: those for the image, whatever this machine is, in the lock's versions where it has some."""
    pypi = tmp_path / "pypi"
    cudnn = wheel(pypi, "nvidia-cudnn-cu12", "9.5.1.17", tags="py3-none-manylinux_2_27_x86_64")
    wheel(pypi, "nvidia-cudnn-cu12", "9.5.1.17", tags="py3-none-win_amd64")
    wheel(pypi, "numpy", "1.26.4", tags="cp311-cp311-manylinux_2_17_x86_64.manylinux2014_x86_64")
    wheel(pypi, "numpy", "2.4.0")
    networks = wheel(pypi, "networks-of-nobody", "1.0")
    ran = lock("nvidia-cudnn-cu12==9.5.1.17", "numpy>=1.21", "networks-of-nobody", "left-out; sys_platform == 'win32'")
    assert ran.returncode == 0, ran.stderr
    text = (tmp_path / "gpu" / "cu126.txt").read_text("utf-8")
    assert text.startswith("# PaddlePaddle for CUDA 12.6, and what it needs beyond lock.txt")
    paddle = next((tmp_path / "paddle").rglob("*.whl"))
    assert hashes_of_pins(text) == {
        f"{pin}": [f"    --hash=sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}"]
        for pin, path in (
            ("networks-of-nobody==1.0", networks),
            ("nvidia-cudnn-cu12==9.5.1.17", cudnn),
            (EXTRAS["gpu"][-1], paddle),
        )
    }
    found = sorted(path.name.split("-")[0] for path in (tmp_path / "wheels").iterdir())
    assert found == ["networks_of_nobody", "numpy", "nvidia_cudnn_cu12", "paddlepaddle_gpu"]


@pytest.mark.parametrize("need", ["nowhere-to-be-found", "numpy>=2"], ids=["missing", "not the lock's version"])
def test_without_a_whole_set_of_packages_no_list_is_written(lock: Lock, tmp_path: Path, need: str) -> None:
    wheel(tmp_path / "pypi", "numpy", "2.4.0")
    ran = lock(need)
    assert ran.returncode != 0
    assert "gpu/cu126.txt is not written: pip did not get paddlepaddle-gpu==" in ran.stderr
    assert not (tmp_path / "gpu").exists()


def test_a_set_with_paddle_for_cpus_is_refused(lock: Lock, tmp_path: Path) -> None:
    wheel(tmp_path / "pypi", "paddlepaddle", "3.2.2", tags=LINUX)
    ran = lock("paddlepaddle")
    assert ran.returncode != 0
    assert "paddlepaddle-gpu and paddlepaddle cannot be installed together" in ran.stderr
    assert not (tmp_path / "gpu").exists()


def test_the_list_installs_from_the_wheelhouse_alone(lock: Lock, tmp_path: Path) -> None:
    """And a file that was replaced is refused."""
    wheel(tmp_path / "pypi", "nvidia-cudnn-cu12", "9.5.1.17")
    assert lock("nvidia-cudnn-cu12==9.5.1.17").returncode == 0
    words = [sys.executable, "-m", "pip", "install", "--no-deps", "--require-hashes", "--no-index", "--dry-run"]
    words += ["--python-version=3.11", "--platform=linux_x86_64", "--only-binary=:all:", "--target=out"]
    words += ["--find-links=wheels", "-r", "gpu/cu126.txt"]

    def install() -> subprocess.CompletedProcess[str]:
        return subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)

    ran = install()
    assert ran.returncode == 0, ran.stderr
    [file] = (tmp_path / "wheels").glob("nvidia*")
    file.write_bytes(file.read_bytes() + b"\0")
    assert "DO NOT MATCH THE HASHES" in install().stderr


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run a target in a folder of its own, with a builder that prints its arguments."""
    shutil.copy(MAKEFILE, tmp_path)
    (tmp_path / "pyproject.toml").write_text('version = "1.2.3"\n')

    def run(*words: str, **more: str) -> subprocess.CompletedProcess[str]:
        command = ["make", "--silent", "BUILDER=echo", *words]
        environ = {"PATH": os.environ["PATH"], **more}
        return subprocess.run(command, cwd=tmp_path, env=environ, capture_output=True, text=True, check=False)

    return run


def test_the_image_for_gpus_needs_a_list(make: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    ran = make("image-gpu", "CUDA=12.9")
    assert ran.returncode != 0
    assert ran.stdout == ""
    assert "requirements/gpu/cu129.txt is missing." in ran.stderr
    assert "write it with make lock-gpu CUDA=12.9" in ran.stderr


@pytest.mark.parametrize("target", ["image-gpu", "lock-gpu"])
def test_a_cuda_without_a_paddle_is_refused(make: Callable[..., subprocess.CompletedProcess[str]], target: str) -> None:
    ran = make(target, "CUDA=12.4")
    assert ran.returncode != 0
    assert "CUDA is '12.4', but PaddlePaddle is built for 11.8, 12.6 and 12.9." in ran.stderr


@pytest.mark.parametrize(
    ("words", "cuda", "tag"),
    [
        ([], "12.6", "ocrfleet/trainer:1.2.3-cu126"),
        (["CUDA=11.8"], "11.8", "ocrfleet/trainer:1.2.3-cu118"),
        (["CUDA=12.9", "IMAGE=r.example.com/ocr:1"], "12.9", "r.example.com/ocr:1"),
    ],
)
def test_the_image_for_gpus_is_built_from_its_list_and_labelled(
    make: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path, words: list[str], cuda: str, tag: str
) -> None:
    short = f"cu{cuda.replace('.', '')}"
    (tmp_path / "requirements" / "gpu").mkdir(parents=True)
    (tmp_path / "requirements" / "gpu" / f"{short}.txt").touch()
    ran = make("image-gpu", *words)
    assert ran.returncode == 0, ran.stderr
    given = dict(re.findall(r"--build-arg (\w+)=(\S+)", ran.stdout))
    assert (given["DEVICE"], given["CUDA"]) == ("gpu", cuda)
    assert given["PADDLE_INDEX"] == f"https://www.paddlepaddle.org.cn/packages/stable/{short}/"
    assert f"--tag {tag} ." in ran.stdout


def test_the_test_on_a_gpu_says_that_it_was_not_run_where_there_is_none(
    make: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    """It installs nothing for that."""
    shutil.copytree(ROOT / "trainer" / "system", tmp_path / "trainer" / "system")
    (tmp_path / "trainer" / "__init__.py").touch()
    drivers.library(tmp_path / "driver", devices=0)
    ran = make("test-gpu", f"PYTHON={sys.executable}", LD_LIBRARY_PATH=str(tmp_path / "driver"))
    assert (ran.returncode, ran.stdout) == (0, "not run: no CUDA device\n"), ran.stderr
    assert not (tmp_path / ".venv").exists()


def test_with_a_device_the_test_on_a_gpu_needs_the_list(
    make: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    shutil.copytree(ROOT / "trainer" / "system", tmp_path / "trainer" / "system")
    shutil.copytree(ROOT / "requirements", tmp_path / "requirements")
    (tmp_path / "trainer" / "__init__.py").touch()
    drivers.library(tmp_path / "driver")
    ran = make("test-gpu", f"PYTHON={sys.executable}", LD_LIBRARY_PATH=str(tmp_path / "driver"))
    assert ran.returncode != 0
    assert "requirements/gpu/cu126.txt is missing: write it with make lock-gpu CUDA=12.6." in ran.stderr


@pytest.mark.parametrize(
    ("cuda", "has", "installs"),
    [
        ("", "", "libgomp1"),
        ("", "libgomp.so.1", ""),
        ("12.6", "", "libgomp1 libibverbs1 ibverbs-providers librdmacm1"),
        ("12.6", "libgomp.so.1 libibverbs.so.1 libmlx5.so.1 librdmacm.so.1", ""),
    ],
)
def test_the_image_gets_the_systems_libraries_that_its_base_lacks(
    tmp_path: Path, cuda: str, has: str, installs: str
) -> None:
    """The line of the Dockerfile itself, without a container."""
    text = DOCKERFILE.read_text("utf-8").replace("\\\n", "")
    [script] = [line.removeprefix("RUN ") for line in text.splitlines() if "libgomp1" in line]
    script = script.replace("rm -rf /var/lib/apt/lists/*", "true")
    for name, line in (("ldconfig", f"echo '{has}'"), ("apt-get", 'echo "$@" >> asked')):
        (tmp_path / name).write_text(f"#!/bin/sh\n{line}\n")
        (tmp_path / name).chmod(0o755)
    environ = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "CUDA": cuda}
    subprocess.run(["sh", "-ec", script], cwd=tmp_path, env=environ, check=True)
    asked = (tmp_path / "asked").read_text() if (tmp_path / "asked").exists() else ""
    expected = f"update\ninstall -y --no-install-recommends {installs}\n" if installs else ""
    assert asked == expected


def test_the_list_gets_into_the_build() -> None:
    allowed = (ROOT / ".dockerignore").read_text("utf-8").splitlines()
    assert "!requirements/gpu" in allowed
