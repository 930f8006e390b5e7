"""Ways to hurt the cluster of `make cluster-up`, each with its mending."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.cluster.kube import Cluster, Object
from tests.cluster.machine import lifetime, network
from tests.cluster.machine.layout import Node
from tests.cluster.machine.node import inside


def processes_of(pod: Object) -> list[int]:
    """Give this machine's numbers of the processes in a pod's containers, the sandbox' own left out."""
    found = []
    sandbox = set[int]()
    for entry in Path("/proc").iterdir():
        with suppress(OSError):
            if entry.name.isdigit() and f"pod{pod['metadata']['uid']}" in (entry / "cgroup").read_text("utf-8"):
                pid = int(entry.name)
                # The sandbox' image is the tiny one, and its program was called without a command.
                (sandbox.add if len(_command(pid)) < 2 else found.append)(pid)
    return sorted(set(found) - sandbox)


def _command(pid: int) -> list[bytes]:
    return Path(f"/proc/{pid}/cmdline").read_bytes().rstrip(b"\0").split(b"\0")


def send(pod: Object, number: signal.Signals) -> None:
    """Send a signal to all processes of a pod's containers.

    Raises:
        AssertionError: it has none.
    """
    found = processes_of(pod)
    assert found, f"{pod['metadata']['name']} has no process"
    for pid in found:
        # The kernel ends all others of a container with its first process.
        with suppress(ProcessLookupError):
            os.kill(pid, number)


@contextmanager
def stopped(pod: Object) -> Iterator[None]:
    """Let a pod's processes stand still until the end of the block."""
    send(pod, signal.SIGSTOP)
    try:
        yield
    finally:
        send(pod, signal.SIGCONT)


@contextmanager
def cut_off(node: Node) -> Iterator[None]:
    """Keep a node from the network until the end of the block."""
    network.cut(node)
    try:
        yield
    finally:
        network.mend(node)


@contextmanager
def without(program: str, node: Node) -> Iterator[None]:
    """End a node's program, and don't let it come back until the end of the block.

    Args:
        program: `kubelet`, `kube-proxy` or `containerd`.
        node: where.
    """
    hold = node.home / f"hold-{program}"
    hold.touch()
    try:
        kill(program, node)
        yield
    finally:
        hold.unlink()
        with suppress(OSError):  # nobody waits yet: then it starts by itself
            os.write(os.open(node.home / f"fifo-{program}", os.O_WRONLY | os.O_NONBLOCK), b"\n")


def kill(program: str, node: Node) -> None:
    """End a node's program at once; it is started again."""
    inside(node, "pkill", "--signal=KILL", "--exact", program)


@contextmanager
def full_disk(node: Node) -> Iterator[None]:
    """Fill the disk that a node's volumes are on, until the end of the block."""
    free = "df --output=avail --block-size=1 . | tail -1"
    # Most of it at once, and the rest piece by piece until none is left.
    fill = f"fallocate --length=$(( $({free}) - 1048576 )) ballast; dd if=/dev/zero of=ballast-2 bs=1k"
    inside(node, "bash", "-c", f"cd /var/lib/kubelet; {fill}", deadline=120, quiet=True)
    try:
        yield
    finally:
        inside(node, "rm", "--force", "/var/lib/kubelet/ballast", "/var/lib/kubelet/ballast-2")


@contextmanager
def drained(node: Node) -> Iterator[None]:
    """Send a node's pods away and let none come, until the end of the block."""
    options = ("--ignore-daemonsets", "--delete-emptydir-data", "--force", "--timeout=60s")
    lifetime.kubectl("drain", node.name, *options)
    try:
        yield
    finally:
        lifetime.kubectl("uncordon", node.name)


def node_of(cluster: Cluster, pod: Object) -> Node:
    """Give the node that a pod is on."""
    name = cluster.get("Pod", pod["metadata"]["name"], namespace=pod["metadata"]["namespace"])["spec"]["nodeName"]
    return Node(int(name.removeprefix("node")))
