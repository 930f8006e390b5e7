"""What this machine or pod has to train with: devices, drivers, libraries, and the limits of its container."""

import os
import resource
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from trainer.system import cpu, device, memory

_SHARED_MEMORY: Final = Path("/dev/shm")


@dataclass(frozen=True, kw_only=True)
class Machine:
    """What this machine or pod has. Sizes are in bytes; None: there is none, no limit, or it is not known."""

    paddle: device.Paddle | None
    """The installed PaddlePaddle, with the CUDA, cuDNN and NCCL that it uses."""

    driver: device.Driver
    """NVIDIA's driver, with its devices."""

    bfloat16: bool
    """Whether all devices support bf16."""

    tf32: bool
    """Whether all devices support TF32, in which they may compute what is called fp32."""

    tf32_override: str | None
    """NVIDIA_TF32_OVERRIDE; 0 turns TF32 off in NVIDIA's libraries."""

    cores: int
    """Cores that this process may run on."""

    cpu_limit: float | None
    """Cores that its control group may use at a time."""

    memory: int | None
    """Of the machine."""

    memory_limit: int | None
    """Of its control group."""

    shared_memory: int | None
    """Size of /dev/shm, in which reader processes pass samples to workers."""

    memlock: int | None
    """Memory that this process may lock (`ulimit -l`), as RDMA must; None: no limit."""


def look(*, devices: bool = True, shared_memory: Path = _SHARED_MEMORY) -> Machine:
    """Look at this machine.

    Args:
        devices: whether to ask NVIDIA's driver, which may take seconds.
        shared_memory: where shared memory is mounted.
    """
    driver = device.driver() if devices else device.Driver()
    ampere = bool(driver.devices) and all(each.ampere for each in driver.devices)
    locked, _ = resource.getrlimit(resource.RLIMIT_MEMLOCK)
    return Machine(
        paddle=device.paddle(),
        driver=driver,
        bfloat16=ampere,
        tf32=ampere,
        tf32_override=os.environ.get("NVIDIA_TF32_OVERRIDE"),
        cores=len(os.sched_getaffinity(0)),
        cpu_limit=cpu.limit(),
        memory=memory.total(),
        memory_limit=memory.limit(),
        shared_memory=_size(shared_memory),
        memlock=None if locked == resource.RLIM_INFINITY else locked,
    )


def _size(folder: Path) -> int | None:
    try:
        found = os.statvfs(folder)
    except OSError:
        return None
    return found.f_blocks * found.f_frsize


def facts(machine: Machine) -> dict[str, Any]:
    """Return it as JSON has it."""
    return asdict(machine)
