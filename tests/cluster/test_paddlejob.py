"""The training operator runs a PaddleJob, and gives its pods what Paddle's launcher looks for."""

from typing import Any

import pytest

from tests.cluster.controllers import SERVES, end, need
from tests.cluster.kube import ApiException, Cluster, Namespace, Object, condition, ready
from tests.cluster.machine.addons import TRAINING_OPERATOR
from tests.cluster.manifests import container, pod_spec
from trainer.contract import RETRY_CODE, ExitCode

pytestmark = pytest.mark.builds(TRAINING_OPERATOR)


@pytest.fixture(autouse=True)
def operator(cluster: Cluster) -> None:
    need(cluster, TRAINING_OPERATOR)


INDEX = {
    "name": "INDEX",
    "valueFrom": {"fieldRef": {"fieldPath": "metadata.labels['training.kubeflow.org/replica-index']"}},
}
FIRST_FAILS = ("get", "http://127.0.0.1:1", "$(INDEX)0000")
"""Worker 0 fails at once, worker 1 goes on: nobody answers, and it gives up after so many seconds."""


def paddlejob(image: str, *arguments: str, name: str = "paddle", restart: str = "Never", **policy: Any) -> Object:
    """Give a PaddleJob of two workers."""
    template = {"spec": pod_spec(container(image, *arguments, name=name, env=[INDEX]))}
    worker = {"replicas": 2, "restartPolicy": restart, "template": template}
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


def test_a_code_below_128_is_for_good_under_its_policy_exit_code(namespace: Namespace, tiny: str) -> None:
    """So a 75, which is worth a retry, must become another."""
    namespace.apply(paddlejob(tiny, "exit", str(int(ExitCode.TRANSIENT)), restart="ExitCode"))
    namespace.wait("PaddleJob", "gang", lambda found: condition(found, "Failed") == "True")


def test_a_pod_that_ends_with_our_retry_code_is_made_anew_with_its_name(namespace: Namespace, tiny: str) -> None:
    namespace.apply(paddlejob(tiny, "exit", str(RETRY_CODE), restart="ExitCode", backoffLimit=1))
    uids: dict[str, set[str]] = {"gang-worker-0": set(), "gang-worker-1": set()}

    def again(pods: list[Object]) -> bool:
        for pod in pods:
            uids[pod["metadata"]["name"]].add(pod["metadata"]["uid"])
        return all(len(each) > 3 for each in uids.values())

    namespace.wait_pods(again, deadline=120)
    # Nor does its limit count them.
    assert condition(namespace.get("PaddleJob", "gang"), "Failed") != "True"


def test_a_worker_that_fails_for_good_ends_the_others_and_is_kept_itself(namespace: Namespace, tiny: str) -> None:
    namespace.apply(paddlejob(tiny, *FIRST_FAILS, restart="ExitCode", cleanPodPolicy="Running"))
    namespace.wait("PaddleJob", "gang", lambda found: condition(found, "Failed") == "True")
    kept = {"gang-worker-0": "Failed"}
    namespace.wait_pods(lambda pods: {pod["metadata"]["name"]: pod["status"]["phase"] for pod in pods} == kept)


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
