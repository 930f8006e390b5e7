"""JobSet runs gangs of our image, and its webhook refuses what can't be."""

from typing import Any

import pytest

from tests.cluster.controllers import SERVES, end, need
from tests.cluster.kube import ApiException, Cluster, Namespace, Object, ready
from tests.cluster.machine.addons import JOBSET
from tests.cluster.manifests import container, pod_spec

pytestmark = pytest.mark.builds(JOBSET)

SPREAD = {
    "maxSkew": 1,
    "topologyKey": "kubernetes.io/hostname",
    "whenUnsatisfiable": "DoNotSchedule",
    "labelSelector": {"matchLabels": {"jobset.sigs.k8s.io/jobset-name": "gang"}},
}


@pytest.fixture(autouse=True)
def jobset(cluster: Cluster) -> None:
    need(cluster, JOBSET)


def gang(image: str, *arguments: str, **fields: Any) -> Object:
    """Give a JobSet of one Indexed Job with a pod on each of two nodes."""
    template = {"spec": pod_spec(container(image, *arguments), topologySpreadConstraints=[SPREAD])}
    job = {"completions": 2, "parallelism": 2, "backoffLimit": 0, "template": template}
    spec = {"replicatedJobs": [{"name": "node", "replicas": 1, "template": {"spec": job}}], **fields}
    return {"apiVersion": JOBSET.version, "kind": "JobSet", "metadata": {"name": "gang"}, "spec": spec}


def both_ready(pods: list[Object]) -> list[Object] | None:
    """Give the two pods, by their names, when both are ready."""
    return sorted(pods, key=lambda pod: str(pod["metadata"]["name"])) if sum(map(ready, pods)) == 2 else None


def over(namespace: Namespace) -> Object:
    """Give the gang's status when it has come to its end, good or bad."""

    def at_its_end(found: Object) -> Object | None:
        status: Object = found.get("status", {})
        return status if "terminalState" in status else None

    return namespace.wait("JobSet", "gang", at_its_end)


def test_its_pods_reach_one_another_by_name_and_complete(namespace: Namespace, tiny: str) -> None:
    namespace.apply(gang(tiny, *SERVES))
    pods = namespace.wait_pods(both_ready)
    assert len({pod["spec"]["nodeName"] for pod in pods}) == 2
    for number, pod in enumerate(pods):
        peer = f"gang-node-0-{1 - number}"
        answer = namespace.execute(pod["metadata"]["name"], "/tiny", "get", f"http://{peer}.gang:8080")
        assert answer.strip() == peer
    for pod in pods:
        end(namespace, pod)
    assert over(namespace)["terminalState"] == "Completed"


def test_one_whose_pod_fails_is_failed_and_names_the_job(namespace: Namespace, tiny: str) -> None:
    namespace.apply(gang(tiny, "exit", "41"))
    status = over(namespace)
    assert status["terminalState"] == "Failed"
    (failed,) = (each for each in status["conditions"] if each["type"] == "Failed")
    assert "gang-node-0" in failed["message"]


def test_a_suspended_one_has_no_pods_and_starts_when_it_is_resumed(namespace: Namespace, tiny: str) -> None:
    namespace.apply(gang(tiny, *SERVES))
    namespace.wait_pods(both_ready)
    namespace.apply(gang(tiny, *SERVES, suspend=True))
    namespace.wait_pods(lambda pods: not pods)
    namespace.apply(gang(tiny, *SERVES, suspend=False))
    namespace.wait_pods(both_ready)


def test_a_success_policy_that_names_no_job_is_refused(namespace: Namespace, tiny: str) -> None:
    policy = {"operator": "All", "targetReplicatedJobs": ["nobody"]}
    with pytest.raises(ApiException, match=r"nobody.* does not appear in .spec.ReplicatedJobs"):
        namespace.apply(gang(tiny, *SERVES, successPolicy=policy))
