"""What the tests of others' controllers share."""

from typing import Final

import pytest

from docs import runtime
from tests.cluster.kube import ApiException, Cluster, Namespace, Object
from tests.cluster.machine import addons, lifetime
from tests.cluster.machine.addons import JOBSET, TRAINER, Addon

ENGINES: Final = {"job": (), "jobset": (JOBSET,), "trainjob": (JOBSET, TRAINER)}
"""What must be installed for an engine of the chart."""

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


def need_engine(cluster: Cluster, engine: str) -> None:
    """See to it that an engine of the chart can run, as an administrator does; skip the test where it can't.

    Raises:
        ClusterError: what it needs can't be installed.
    """
    for addon in ENGINES[engine]:
        need(cluster, addon)
    if engine == "trainjob" and cluster.local:
        lifetime.kubectl("apply", "--kustomize", str(runtime.FILE.parent))
    elif engine == "trainjob":
        try:
            cluster.get(TRAINER.kind, "ocrfleet-paddle", version=TRAINER.version)
        except ApiException:
            pytest.skip("this cluster lacks the runtime: `kubectl apply -k manifests/components/trainjob-runtime`")


def end(namespace: Namespace, pod: Object) -> None:
    """Let a pod that serves end with 0."""
    with namespace.forward(pod["metadata"]["name"], 8080) as line:
        line.sendall(b"POST /exit HTTP/1.0\r\n\r\n")
        assert not line.recv(64), "it has not ended"
