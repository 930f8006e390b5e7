"""What the tests of others' controllers share."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import pytest

from docs import runtime
from tests.cluster.kube import ApiException, Cluster, Namespace, Object, condition
from tests.cluster.machine import addons, lifetime
from tests.cluster.machine.addons import JOBSET, KUEUE, TRAINER, Addon

ENGINES: Final = {"job": (), "jobset": (JOBSET,), "trainjob": (JOBSET, TRAINER)}
"""What must be installed for an engine of the chart."""

KINDS: Final = {
    "job": ("Job", "batch/v1"),
    "jobset": ("JobSet", JOBSET.version),
    "trainjob": ("TrainJob", TRAINER.version),
}
"""The kind of its object, and that one's API."""

SERVES = ("serve", "8080")
"""Arguments of the tiny image with which a pod runs until `end` ends it."""


def need(cluster: Cluster, addon: Addon) -> None:
    """Install a controller, built before if need be; a cluster that is not ours has it, or the test is skipped.

    Raises:
        ClusterError: it can't be installed.
    """
    if cluster.local:
        addons.install(addon)
    elif not cluster.has(addon.kind, addon.version):
        pytest.skip(f"this cluster lacks {addon.title} ({addon.version})")


def need_engine(cluster: Cluster, engine: str) -> None:
    """Install what an engine of the chart needs, as an administrator does; see `need`.

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


@contextmanager
def kueue(namespace: Namespace, resource: str, amount: int | str, **more: Any) -> Iterator[str]:
    """Give the name of a queue of Kueue in a namespace, which is removed again.

    Args:
        namespace: Kueue has to do with it from then on.
        resource: what there is a quota of, such as `cpu`.
        amount: of it.
        more: of the ClusterQueue's spec.

    Raises:
        ClusterError: Kueue can't be installed.
    """
    cluster, name, version = namespace.cluster, namespace.name, KUEUE.version
    need(cluster, KUEUE)
    labels = {"ocrfleet.io/kueue": "true", "pod-security.kubernetes.io/enforce": "restricted"}
    cluster.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}})
    quota = {"name": name, "resources": [{"name": resource, "nominalQuota": amount}]}
    whole = {
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": name}},
        "resourceGroups": [{"coveredResources": [resource], "flavors": [quota]}],
        **more,
    }
    for kind, spec in (("ResourceFlavor", {}), ("ClusterQueue", whole)):
        cluster.apply({"apiVersion": version, "kind": kind, "metadata": {"name": name}, "spec": spec})
    local = {"metadata": {"name": "queue"}, "spec": {"clusterQueue": name}}
    namespace.apply({"apiVersion": version, "kind": "LocalQueue", **local})
    namespace.wait("LocalQueue", "queue", lambda found: condition(found, "Active") == "True", version=version)
    yield "queue"
    for kind in ("ClusterQueue", "ResourceFlavor"):
        cluster.resource(kind, version).delete(name=name)


def end(namespace: Namespace, pod: Object) -> None:
    """Let a pod that serves end with 0."""
    with namespace.forward(pod["metadata"]["name"], 8080) as line:
        line.sendall(b"POST /exit HTTP/1.0\r\n\r\n")
        assert not line.recv(64), "it has not ended"
