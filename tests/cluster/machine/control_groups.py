"""The nodes' control groups (version 1: one hierarchy for each set of controllers)."""

import time
from contextlib import suppress
from pathlib import Path
from typing import Final

from tests.cluster.machine.layout import Node
from tests.cluster.machine.processes import ClusterError

ROOT: Final = Path("/sys/fs/cgroup")


def hierarchies() -> list[Path]:
    """Give the folder of each hierarchy.

    Raises:
        ClusterError: this machine has version 2 only.
    """
    found = [
        path for path in sorted(ROOT.iterdir()) if not path.is_symlink() and (path / "cgroup.clone_children").exists()
    ]
    if not {"cpu", "memory", "pids", "cpuset"} <= {name for path in found for name in path.name.split(",")}:
        raise ClusterError(
            "This machine's control groups are of version 2, and these nodes want version 1. Make a cluster with kind "
            "or k3d instead, and set OCRFLEET_TEST_KUBECONFIG to its kubeconfig."
        )
    return found


def make(node: Node) -> list[Path]:
    """Make a node's group in each hierarchy; a process that is written into them takes its children along."""
    made = []
    for hierarchy in hierarchies():
        group = hierarchy / node.link
        group.mkdir(exist_ok=True)
        for name in ("cpuset.cpus", "cpuset.mems"):
            if (group / name).exists():
                (group / name).write_text((hierarchy / name).read_text("ascii"), "ascii")
        made.append(group)
    return made


def left(node: Node) -> list[Path]:
    """Give a node's groups that are still there, the innermost first."""
    tops = [path / node.link for path in ROOT.iterdir() if path.is_dir() and (path / node.link).is_dir()]
    return [group for top in tops for group in [*sorted((p for p in top.rglob("*") if p.is_dir()), reverse=True), top]]


def remove(node: Node, *, deadline: float = 30) -> None:
    """Remove them; the kernel lets go of a group a moment after its last process has ended.

    Raises:
        ClusterError: it does not.
    """
    until = time.monotonic() + deadline
    while found := left(node):
        for group in found:
            with suppress(OSError):
                group.rmdir()
        if time.monotonic() > until:
            raise ClusterError(f"These control groups can't be removed: {', '.join(map(str, found))}")
