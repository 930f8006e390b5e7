"""A namespace for a benchmark alone."""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager

from jobs.kube.client import Cluster
from jobs.kube.kinds import NAMESPACE


@contextmanager
def own(name: str) -> Iterator[Cluster]:
    """Give the cluster of the current kubeconfig with a new namespace, which is deleted afterwards."""
    cluster = Cluster(namespace=f"{name}-{secrets.token_hex(3)}")
    cluster.create(NAMESPACE, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": cluster.namespace}})
    try:
        yield cluster
    finally:
        cluster.delete(NAMESPACE, cluster.namespace)
