"""How much shared memory this machine or container has."""

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_FOLDER: Final = Path("/dev/shm")


@dataclass(frozen=True)
class SharedMemory:
    """The size of /dev/shm in bytes."""

    total: int
    free: int

    @classmethod
    def now(cls, folder: Path = _FOLDER) -> "SharedMemory":
        """Measure it."""
        try:
            found = os.statvfs(folder)
        except FileNotFoundError:
            return cls(total=0, free=0)
        if not found.f_blocks:  # a tmpfs without a limit
            return cls(total=sys.maxsize, free=sys.maxsize)
        return cls(total=found.f_blocks * found.f_frsize, free=found.f_bavail * found.f_frsize)
