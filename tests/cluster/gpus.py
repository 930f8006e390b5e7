"""An extended resource that stands for GPUs: a node offers it, pods ask for it, and nothing is behind it."""

from collections.abc import Iterator
from contextlib import contextmanager

from tests.cluster.kube import Cluster, Object

GPU = "nvidia.com/gpu"


@contextmanager
def offered(cluster: Cluster, node: str, count: int) -> Iterator[None]:
    """Let a node offer GPUs until the end of the block.

    A kubelet (1.36) that starts again leaves the number as it is, unless the folder of its device plugins is new.
    """
    _set(cluster, node, {"capacity": {GPU: str(count)}})
    try:
        # The kubelet sees the capacity when it next looks, and says that pods can have it.
        cluster.wait("Node", node, lambda found: allocatable(found) == count)
        yield
    finally:
        _set(cluster, node, {"capacity": {GPU: None}, "allocatable": {GPU: None}})


def allocatable(node: Object) -> int | None:
    """Give the number of GPUs that pods can have of a node; None if it offers none."""
    value = node.get("status", {}).get("allocatable", {}).get(GPU)
    return None if value is None else int(value)


def _set(cluster: Cluster, node: str, status: Object) -> None:
    cluster.core.patch_node_status(node, {"status": status})
