"""An extended resource counts as GPUs do: for the scheduler, and over a kubelet's death."""

import pytest

from tests.cluster import hurt
from tests.cluster.gpus import GPU, offered
from tests.cluster.kube import Cluster, Namespace, Object, ready
from tests.cluster.machine.layout import NODES
from tests.cluster.machine.node import inside
from tests.cluster.manifests import container, pod

NODE = NODES[0]

pytestmark = pytest.mark.usefixtures("hands")


def wanting(name: str, image: str, count: int) -> Object:
    """Give a pod that asks for GPUs."""
    whole = pod(name, image)
    whole["spec"]["containers"] = [container(image, "pause", resources={"limits": {GPU: str(count)}})]
    return whole


def why_pending(found: Object) -> str | None:
    """Give the scheduler's reason for not placing a pod."""
    conditions = found.get("status", {}).get("conditions") or []
    return next((each["message"] for each in conditions if each.get("reason") == "Unschedulable"), None)


def test_a_pod_gets_them_and_the_next_one_waits_until_they_are_free(
    cluster: Cluster, namespace: Namespace, tiny: str
) -> None:
    with offered(cluster, NODE.name, 2):
        namespace.apply(wanting("first", tiny, 2))
        placed = namespace.wait("Pod", "first", lambda found: found if ready(found) else None)
        assert placed["spec"]["nodeName"] == NODE.name
        namespace.apply(wanting("second", tiny, 1))
        assert f"Insufficient {GPU}" in namespace.wait("Pod", "second", why_pending)
        namespace.delete("Pod", "first")
        namespace.wait("Pod", "second", ready)


def test_they_outlive_the_kubelet_and_so_does_the_pod_that_has_one(
    cluster: Cluster, namespace: Namespace, tiny: str
) -> None:
    with offered(cluster, NODE.name, 2):
        namespace.apply(wanting("holds", tiny, 1))
        before = namespace.wait("Pod", "holds", lambda found: found if ready(found) else None)
        old = inside(NODE, "pgrep", "--exact", "kubelet")
        hurt.kill("kubelet", NODE)
        namespace.apply(wanting("next", tiny, 1))
        namespace.wait("Pod", "next", ready)
        assert inside(NODE, "pgrep", "--exact", "kubelet") != old
        after = namespace.get("Pod", "holds")
        assert after["status"]["containerStatuses"][0]["restartCount"] == 0
        assert (after["metadata"]["uid"], after["status"]["phase"]) == (before["metadata"]["uid"], "Running")
        namespace.apply(wanting("third", tiny, 1))
        assert f"Insufficient {GPU}" in namespace.wait("Pod", "third", why_pending)
