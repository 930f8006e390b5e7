"""How many cores this process may use: of the machine, of its affinity, and of its container's share."""

import math
import os
from pathlib import Path
from typing import Final

_CGROUP: Final = Path("/sys/fs/cgroup")


def cores(cgroup: Path = _CGROUP) -> int:
    """Give the cores that this process may keep busy, at least 1.

    A container that is limited to 2 CPUs sees all of its node's; a thread for each would have them wait for one
    another most of the time.

    Args:
        cgroup: the container's own control group, as it sees it (version 2, or 1 with its `cpu` controller).
    """
    allowed = len(os.sched_getaffinity(0))
    quota, period = _quota(cgroup)
    return max(1, min(allowed, math.ceil(quota / period))) if quota > 0 else allowed


def _quota(cgroup: Path) -> tuple[int, int]:
    """Give microseconds of processor time in each period of so many; 0 of 1 where there is no limit."""
    try:
        quota, period = (cgroup / "cpu.max").read_text("ascii").split()
    except OSError:
        try:
            quota, period = ((cgroup / "cpu" / f"cpu.cfs_{name}_us").read_text("ascii") for name in ("quota", "period"))
        except OSError:
            return 0, 1
    return (0, 1) if quota == "max" else (int(quota), int(period))
