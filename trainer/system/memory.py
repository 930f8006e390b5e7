"""Whether the kernel has killed a process of this pod for lack of memory, by the counter of its control group."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

_OWN: Final = Path("/proc/self/cgroup")
_GROUPS: Final = Path("/sys/fs/cgroup")
_COUNT: Final = re.compile(r"^oom_kill (\d+)$", re.MULTILINE)


def kills(*, own: Path = _OWN, groups: Path = _GROUPS) -> int | None:
    """Count the processes of this control group that the kernel has killed for lack of memory; None: it does not say.

    The kernel counts before it kills, so that whoever waits for the process sees it counted
    (`__oom_kill_process` in mm/oom_kill.c).

    Args:
        own: the control groups of this process; see cgroups(7).
        groups: where they are mounted.
    """
    for file in _counters(own, groups):
        try:
            found = _COUNT.search(file.read_text("ascii"))
        except (OSError, UnicodeDecodeError):
            continue
        if found:
            return int(found[1])
    return None


def _counters(own: Path, groups: Path) -> Iterator[Path]:
    try:
        lines = own.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        # Within a container the group that is mounted is often the own one, whatever the path says.
        if controllers == "":
            yield groups / path.lstrip("/") / "memory.events"
            yield groups / "memory.events"
        elif "memory" in controllers.split(","):
            yield groups / "memory" / path.lstrip("/") / "memory.oom_control"
            yield groups / "memory" / "memory.oom_control"
