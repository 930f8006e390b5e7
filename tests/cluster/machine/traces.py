"""What a cluster could leave behind on this machine, read before it comes and after it has gone."""

import json
from contextlib import suppress
from pathlib import Path
from typing import Final

from tests.cluster.machine import control_groups
from tests.cluster.machine.layout import CACHE
from tests.cluster.machine.processes import ours, run

_SETTINGS: Final = ("kernel", "net", "vm")

_ALIVE: Final = ("random/", "ns_last_pid", "pty/nr", "sched_domain", "netfilter/nf_conntrack_count", "compact_memory")
"""Settings that change by themselves, or can only be written."""


def traces() -> dict[str, dict[str, str]]:
    """Give, by what it is, everything there is of a kind that a cluster makes or changes."""
    return {
        "process": {str(pid): "" for pid in ours()},
        "interface": {link["ifname"]: link["flags"][0] for link in json.loads(run(["ip", "-json", "link"]))},
        "route": dict.fromkeys(run(["ip", "route"]).splitlines(), ""),
        "mount": dict.fromkeys(Path("/proc/self/mounts").read_text("utf-8").splitlines(), ""),
        "network namespace": dict.fromkeys(run(["ip", "netns", "list"]).splitlines(), ""),
        "control group": {str(p.relative_to(control_groups.ROOT)): "" for p in control_groups.ROOT.glob("*/*/")},
        "firewall rule": dict.fromkeys(run(["iptables-save"], quiet=True).splitlines()[1:-1], ""),
        "loop device": {
            str(path): path.read_text("utf-8") for path in Path("/sys/block").glob("loop*/loop/backing_file")
        },
        "socket": {str(path): "" for place in ("/run", "/tmp") for path in Path(place).glob("*") if path.is_socket()},
        "state": {str(path): "" for path in (CACHE / "state",) if path.exists()},
        "setting": _settings(),
    }


def difference(before: dict[str, dict[str, str]], after: dict[str, dict[str, str]]) -> list[str]:
    """Say what is there now and was not before, what has gone, and what has changed."""
    found = []
    for kind in before:
        for name in sorted(before[kind].keys() | after[kind].keys()):
            old, new = before[kind].get(name), after[kind].get(name)
            if old != new:
                found.append(
                    f"{kind} {name}: {'not there' if old is None else old!r} -> {'gone' if new is None else new!r}"
                )
    return found


def _settings() -> dict[str, str]:
    found = {}
    root = Path("/proc/sys")
    for part in _SETTINGS:
        for path in (root / part).rglob("*"):
            name = str(path.relative_to(root))
            if not any(word in name for word in _ALIVE):
                with suppress(OSError, UnicodeDecodeError):
                    found[name] = path.read_text("utf-8") if path.is_file() else ""
    return found
