"""How many cores this process may use, and how Paddle's mathematics is told to use one."""

import math
import os
from pathlib import Path
from typing import Final

_CGROUP: Final = Path("/sys/fs/cgroup")
_CPUINFO: Final = Path("/proc/cpuinfo")


def cores(cgroup: Path = _CGROUP) -> int:
    """Return the cores that this process may keep busy, at least 1.

    A container that is limited to 2 CPUs sees all of its node's; a thread for each would have them wait for one
    another most of the time.

    Args:
        cgroup: the container's own control group, as it sees it (version 2, or 1 with its `cpu` controller).
    """
    allowed = len(os.sched_getaffinity(0))
    most = limit(cgroup)
    return max(1, min(allowed, math.ceil(most))) if most else allowed


def limit(cgroup: Path = _CGROUP) -> float | None:
    """Return the cores that the control group may use at a time, such as 1.5; None: no limit."""
    quota, period = _quota(cgroup)
    return quota / period if quota > 0 else None


def _quota(cgroup: Path) -> tuple[int, int]:
    """Return microseconds of processor time in each period of so many; 0 of 1 where there is no limit."""
    try:
        quota, period = (cgroup / "cpu.max").read_text("ascii").split()
    except OSError:
        try:
            quota, period = ((cgroup / "cpu" / f"cpu.cfs_{name}_us").read_text("ascii") for name in ("quota", "period"))
        except OSError:
            return 0, 1
    return (0, 1) if quota == "max" else (int(quota), int(period))


def mathematics(cpuinfo: Path = _CPUINFO) -> dict[str, str]:
    """Return the environment variables with which Paddle trains best on this processor; they act before it is loaded.

    One thread, as Paddle itself takes: two gain little on depthwise networks, a process for each core gains more.

    Paddle's wheels (3.2.2 looked at) bring an MKL of 2019 that gives processors other than Intel's its oldest code,
    without AVX. `MKL_DEBUG_CPU_TYPE=5` lets it take the AVX2 code. `benchmarks.train_throughput --case
    dense-own-defaults` measures what both choices bring.

    Args:
        cpuinfo: the kernel's word on the processor.
    """
    found = {"OMP_NUM_THREADS": "1"}
    try:
        words = set(cpuinfo.read_text("utf-8", errors="replace").split())
    except OSError:
        return found
    if "AuthenticAMD" in words and {"avx2", "fma"} <= words:
        found["MKL_DEBUG_CPU_TYPE"] = "5"
    return found
