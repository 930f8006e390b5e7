"""The training operator runs a PaddleJob, and gives its pods what Paddle's launcher looks for."""

from typing import Any

import pytest

from tests.cluster.controllers import SERVES, end, need
from tests.cluster.kube import ApiException, Cluster, Namespace, Object, condition, ready
from tests.cluster.machine.addons import TRAINING_OPERATOR
from tests.cluster.manifests import container, pod_spec


@pytest.fixture(autouse=True)
def operator(cluster: Cluster) -> None:
    need(cluster, TRAINING_OPERATOR)


def paddlejob(image: str, *arguments: str, name: str = "paddle", **policy: Any) -> Object:
    """Give a PaddleJob of two workers."""
    template = {"spec": pod_spec(container(image, *arguments, name=name))}
    worker = {"replicas": 2, "restartPolicy": "Never", "template": template}
    spec = {"runPolicy": {"cleanPodPolicy": "None", **policy}, "paddleReplicaSpecs": {"Worker": worker}}
    return {"apiVersion": TRAINING_OPERATOR.version, "kind": "PaddleJob", "metadata": {"name": "gang"}, "spec": spec}


def both_ready(pods: list[Object]) -> list[Object]:
    """Give the two pods, by their names, when both are ready."""
    return sorted(pods, key=lambda pod: str(pod["metadata"]["name"])) if sum(map(ready, pods)) == 2 else []


def test_its_pods_reach_one_another_by_name_and_complete(namespace: Namespace, tiny: str) -> None:
    namespace.apply(paddlejob(tiny, *SERVES))
    pods = namespace.wait_pods(both_ready)
    assert [pod["metadata"]["name"] for pod in pods] == ["gang-worker-0", "gang-worker-1"]
    assert namespace.execute("gang-worker-1", "/tiny", "get", "http://gang-worker-0:8080").strip() == "gang-worker-0"
    injected = namespace.execute("gang-worker-1", "/tiny", "env", "PADDLE_NNODES", "PADDLE_MASTER")
    assert injected.splitlines() == ["PADDLE_NNODES=2", "PADDLE_MASTER=gang-worker-0:36543"]
    for pod in pods:
        end(namespace, pod)
    namespace.wait("PaddleJob", "gang", lambda found: condition(found, "Succeeded") == "True")


def test_one_whose_pod_fails_is_failed(namespace: Namespace, tiny: str) -> None:
    namespace.apply(paddlejob(tiny, "exit", "41"))
    namespace.wait("PaddleJob", "gang", lambda found: condition(found, "Failed") == "True")


def test_a_suspended_one_has_no_pods_and_starts_when_it_is_resumed(namespace: Namespace, tiny: str) -> None:
    namespace.apply(paddlejob(tiny, *SERVES))
    namespace.wait_pods(both_ready)
    namespace.apply(paddlejob(tiny, *SERVES, suspend=True))
    namespace.wait_pods(lambda pods: not pods)
    namespace.apply(paddlejob(tiny, *SERVES, suspend=False))
    namespace.wait_pods(both_ready)


def test_one_whose_container_has_another_name_is_refused(namespace: Namespace, tiny: str) -> None:
    with pytest.raises(ApiException, match="at least one container with name"):
        namespace.apply(paddlejob(tiny, *SERVES, name="main"))
