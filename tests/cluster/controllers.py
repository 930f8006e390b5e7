"""What the tests of others' controllers share."""

import pytest

from tests.cluster.kube import Cluster, Namespace, Object
from tests.cluster.machine import addons
from tests.cluster.machine.addons import Addon

SERVES = ("serve", "8080")
"""Arguments of the tiny image with which a pod runs until `end` ends it."""


def need(cluster: Cluster, addon: Addon) -> None:
    """See to it that a controller is there; skip the test by name where it can't be.

    Raises:
        ClusterError: it can't be installed.
    """
    if not cluster.local:
        if not cluster.has(addon.kind, addon.version):
            pytest.skip(f"this cluster lacks {addon.title} ({addon.version})")
        return
    if not addon.always and (reason := addon.missing()):
        pytest.skip(reason)
    addons.install(addon)


def end(namespace: Namespace, pod: Object) -> None:
    """Let a pod that serves end with 0."""
    with namespace.forward(pod["metadata"]["name"], 8080) as line:
        line.sendall(b"POST /exit HTTP/1.0\r\n\r\n")
        assert not line.recv(64), "it has not ended"
