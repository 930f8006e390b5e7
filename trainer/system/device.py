"""What this machine can train on: its CUDA devices, and what the installed PaddlePaddle was built for.

Without importing Paddle, which takes seconds, and without loading CUDA's driver into this process.
"""

import importlib.machinery
import importlib.metadata
import os
import re
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import msgspec

from trainer.errors import SpecError, TransientError

_ASK: Final = (sys.executable, "-P", "-m", "trainer.system.cuda")
_AGAIN: Final = "Look at the node's devices (`nvidia-smi`, `dmesg`), or run it again on another node."
_DEADLINE: Final = 120.0
"""Seconds for the driver's answer. Without NVIDIA's persistence daemon it initializes each device first."""

_HANDED_ON: Final = ("CUDA_", "LANG", "LC_", "LD_", "NVIDIA_", "PATH", "PYTHON")
"""Beginnings of the names of variables that the process which asks has; the keys of the bucket are not its business."""

_NO_DEVICE: Final = 100
"""CUDA_ERROR_NO_DEVICE: the driver works and has nothing to compute on."""

_KERNEL_MODULE: Final = Path("/proc/driver/nvidia/version")


@dataclass(frozen=True, kw_only=True)
class Device:
    """A CUDA device."""

    name: str
    """Its model."""

    memory: int
    """Bytes."""

    capability: tuple[int, int]
    """Compute capability, such as 9.0 for Hopper."""

    @property
    def ampere(self) -> bool:
        """Whether it is of the generation Ampere or later, which have bf16 and TF32."""
        return self.capability >= (8, 0)


@dataclass(frozen=True, kw_only=True)
class Driver:
    """NVIDIA's driver and its devices."""

    version: str | None = None
    """Of its kernel module; None: it is not loaded, or does not say."""

    cuda: str | None = None
    """The newest CUDA that it supports; None: the library of the driver is missing, or does not work."""

    devices: tuple[Device, ...] = ()
    """Those that this process may use."""

    error: str = ""
    """Why it cannot be used; empty: it can, or is not here."""

    code: int = 0
    """The driver's own number of that error; 0: it has none."""


@dataclass(frozen=True, kw_only=True)
class Paddle:
    """The installed PaddlePaddle."""

    version: str
    """Its own."""

    cuda: str | None = None
    """The CUDA that it is built for; None: it computes on CPUs only."""

    cudnn: str | None = None
    """The cuDNN that it uses."""

    nccl: str | None = None
    """The NCCL that it uses."""


# Made while the module is imported: a class that two threads use for the first time crashes the process.
_DRIVER: Final = msgspec.json.Decoder(Driver)


def driver(*, kernel_module: Path = _KERNEL_MODULE) -> Driver:
    """Ask the driver for its devices, in another process: a driver that crashes or hangs must not take this one along.

    Args:
        kernel_module: what the kernel module says of itself.
    """
    version = _version(kernel_module)
    environment = {name: value for name, value in os.environ.items() if name.startswith(_HANDED_ON)}
    try:
        ran = subprocess.run(
            _ASK, stdin=subprocess.DEVNULL, capture_output=True, env=environment, timeout=_DEADLINE, check=False
        )
    except subprocess.TimeoutExpired:
        return Driver(version=version, error=f"no answer within {_DEADLINE:.0f} s")
    if ran.returncode:
        last = ran.stderr.decode("utf-8", "replace").strip().splitlines()[-1:] or ["no message"]
        return Driver(version=version, error=f"it crashed ({ran.returncode}: {last[0]})")
    return replace(_DRIVER.decode(ran.stdout), version=version)


def _version(kernel_module: Path) -> str | None:
    try:
        found = re.search(r"Kernel Module.*?\s(\d+(?:\.\d+)+)", kernel_module.read_text("utf-8", "replace"))
    except OSError:
        return None
    return found[1] if found else None


def paddle() -> Paddle | None:
    """Return what the installed PaddlePaddle says of itself in its file of versions; None: it is not installed."""
    found = importlib.machinery.PathFinder.find_spec("paddle")
    if found is None or found.origin is None:
        return None
    try:
        text = (Path(found.origin).parent / "version" / "__init__.py").read_text("utf-8")
    except OSError:
        return None
    said = dict(re.findall(r"^(\w+) *= *'([^'\n]*)'$", text, re.MULTILINE))
    cuda = _named(said.get("cuda_version"))
    return Paddle(
        version=said.get("full_version", "of an unknown version"),
        cuda=cuda,
        cudnn=cuda and (_package("nvidia-cudnn-cu") or _named(said.get("cudnn_version"))),
        nccl=cuda and (_package("nvidia-nccl-cu") or _nccl(said.get("nccl_version"))),
    )


def _named(version: str | None) -> str | None:
    return None if version in (None, "", "0", "False", "None") else version


def _nccl(number: str | None) -> str | None:
    """Spell NCCL_VERSION_CODE: 22703 is 2.27.3, and 2804 of before 2.9 is 2.8.4."""
    if not number or not number.isdecimal() or number == "0":
        return _named(number)
    code, step = int(number), 10000 if int(number) >= 10000 else 1000
    return f"{code // step}.{code % step // 100}.{code % 100}"


def _package(prefix: str) -> str | None:
    """Return the version of the package that brings a library of CUDA; Paddle's wheel loads these."""
    pattern = re.compile(rf"{prefix}\d+")
    found = {d.metadata["Name"]: d.version for d in importlib.metadata.distributions()}
    return next((version for name, version in found.items() if name and pattern.fullmatch(name)), None)


def require(device: str, *, count: int, has: Driver | None = None) -> None:
    """Check that the installed PaddlePaddle can compute on the devices of this machine.

    Args:
        device: `cpu` or `gpu`.
        count: how many of them.
        has: the driver of this machine; None: it is asked.

    Raises:
        SpecError: it cannot; says what to change.
        TransientError: the driver does not work now.
    """
    if device == "cpu":
        return
    built = paddle()
    if built is None:
        raise SpecError("The device is `gpu`, but PaddlePaddle is not installed here. " + _INSTEAD)
    if built.cuda is None:
        raise SpecError(
            f"The device is `gpu`, but PaddlePaddle {built.version} is installed without CUDA: it trains on CPUs only. "
            + _INSTEAD
        )
    found = has or driver()
    if found.error and found.code != _NO_DEVICE:
        raise TransientError(f"The CUDA driver does not work: {found.error}. {_AGAIN}")
    if not found.devices:
        what = "NVIDIA's driver finds no device" if found.error or found.cuda else "NVIDIA's driver is not here"
        raise SpecError(
            f"The device is `gpu`, but this machine has no CUDA device: {what}. In a pod, check that the container "
            "runtime is NVIDIA's. Or set placement.device to `cpu`."
        )
    if len(found.devices) < count:
        number = f"{len(found.devices)} CUDA device{'' if len(found.devices) == 1 else 's'}"
        raise SpecError(
            f"The run needs {count} GPUs on this machine, which has {number}. Lower placement.devicesPerNode, or under "
            "`ocrfleet run` placement.nodes."
        )
    if found.cuda and _major(found.cuda) < _major(built.cuda):
        raise SpecError(
            f"PaddlePaddle is built for CUDA {built.cuda}, but the driver {found.version or 'of this machine'} supports"
            f" CUDA {found.cuda} at most. Update the driver, or build an image for an older CUDA: `make image-gpu "
            "CUDA=11.8`."
        )


_INSTEAD: Final = "Use an image built with `make image-gpu`, or set placement.device to `cpu`."


def _major(version: str) -> int:
    return int(version.partition(".")[0])
