"""Memory: how much this pod has left, whether the kernel has killed for lack of it, and what this process takes."""

import re
import resource
from collections.abc import Iterator
from pathlib import Path
from typing import Final

_OWN: Final = Path("/proc/self/cgroup")
_GROUPS: Final = Path("/sys/fs/cgroup")
_MEMINFO: Final = Path("/proc/meminfo")
_STATM: Final = Path("/proc/self/statm")
_COUNT: Final = re.compile(r"^oom_kill (\d+)$", re.MULTILINE)
_FREE: Final = re.compile(r"^MemAvailable: +(\d+) kB$", re.MULTILINE)
_TOTAL: Final = re.compile(r"^MemTotal: +(\d+) kB$", re.MULTILINE)
_WHOLE: Final = re.compile(r"^(\d+)$", re.MULTILINE)
"""A number alone; `max` is no limit."""

_NAMES: Final = {
    1: (
        "memory.oom_control",
        "memory.limit_in_bytes",
        "memory.usage_in_bytes",
        re.compile(r"^total_inactive_file (\d+)$", re.MULTILINE),
    ),
    2: ("memory.events", "memory.max", "memory.current", re.compile(r"^inactive_file (\d+)$", re.MULTILINE)),
}
"""By version of control groups: files of the counter, the limit and the use, and the file cache in `memory.stat`."""


def kills(*, own: Path = _OWN, groups: Path = _GROUPS) -> int | None:
    """Count the processes of this control group that the kernel has killed for lack of memory; None: it does not say.

    The kernel counts before it kills, so that whoever waits for the process sees it counted
    (`__oom_kill_process` in mm/oom_kill.c).

    Args:
        own: the control groups of this process; see cgroups(7).
        groups: where they are mounted.
    """
    for folder, version in _folders(own, groups):
        try:
            found = _COUNT.search((folder / _NAMES[version][0]).read_text("ascii"))
        except (OSError, UnicodeDecodeError):
            continue
        if found:
            return int(found[1])
    return None


def available(*, own: Path = _OWN, groups: Path = _GROUPS, meminfo: Path = _MEMINFO) -> int | None:
    """Return the bytes that this process can still take before the kernel kills for them; None: it does not say.

    Args:
        own: the control groups of this process; see cgroups(7).
        groups: where they are mounted.
        meminfo: the kernel's word on the machine.
    """
    found = [*_left(own, groups), *_numbers(meminfo, _FREE, unit=1024)]
    return min(found, default=None)


def limit(*, own: Path = _OWN, groups: Path = _GROUPS, meminfo: Path = _MEMINFO) -> int | None:
    """Return the bytes that this process's control groups may use; None: no limit, or not below the machine's memory.

    Args:
        own: the control groups of this process; see cgroups(7).
        groups: where they are mounted.
        meminfo: the kernel's word on the machine.
    """
    found = [next(_numbers(folder / _NAMES[version][1], _WHOLE), None) for folder, version in _folders(own, groups)]
    least = min((number for number in found if number is not None), default=None)
    whole = total(meminfo=meminfo)
    # Without a limit, version 1 has a number larger than any memory.
    return least if least is not None and (whole is None or least < whole) else None


def total(*, meminfo: Path = _MEMINFO) -> int | None:
    """Return the bytes of this machine's memory; None: the kernel does not say."""
    return next(_numbers(meminfo, _TOTAL, unit=1024), None)


def peak() -> int:
    """Return the most bytes that this process has had in memory so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def resident(*, statm: Path = _STATM) -> int:
    """Return the bytes that this process has in memory now."""
    return int(statm.read_text("ascii").split()[1]) * resource.getpagesize()


def _left(own: Path, groups: Path) -> Iterator[int]:
    """Yield what each control group leaves. Of its file cache, the kernel takes back what was not used for long."""
    for folder, version in _folders(own, groups):
        _, limit, used, cache = _NAMES[version]
        numbers = [next(_numbers(folder / name, _WHOLE), None) for name in (limit, used)]
        if numbers[0] is not None and numbers[1] is not None:
            yield max(0, numbers[0] - numbers[1] + next(_numbers(folder / "memory.stat", cache), 0))


def _numbers(file: Path, pattern: re.Pattern[str], *, unit: int = 1) -> Iterator[int]:
    try:
        found = pattern.search(file.read_text("ascii"))
    except (OSError, UnicodeDecodeError):
        return
    if found:
        yield int(found[1]) * unit


def _folders(own: Path, groups: Path) -> Iterator[tuple[Path, int]]:
    """Yield the folders of this process's memory group, each with its version of control groups."""
    try:
        lines = own.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        # Within a container the group that is mounted is often the own one, whatever the path says.
        if controllers == "":
            yield groups / path.lstrip("/"), 2
            yield groups, 2
        elif "memory" in controllers.split(","):
            yield groups / "memory" / path.lstrip("/"), 1
            yield groups / "memory", 1
