"""Kubeflow Trainer makes a gang of a runtime and a TrainJob, by way of JobSet."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.cluster.controllers import SERVES, end, need
from tests.cluster.kube import ApiException, Cluster, Namespace, Object, condition, ready
from tests.cluster.machine.addons import JOBSET, TRAINER
from tests.cluster.manifests import container, pod_spec

pytestmark = pytest.mark.builds(JOBSET, TRAINER)


@pytest.fixture
def runtime(cluster: Cluster, namespace: Namespace, tiny: str) -> Iterator[str]:
    """Name of a runtime with no framework, whose pods run our image."""
    need(cluster, JOBSET)
    need(cluster, TRAINER)
    job = {
        "metadata": {"labels": {"trainer.kubeflow.org/trainjob-ancestor-step": "trainer"}},
        "spec": {"backoffLimit": 0, "template": {"spec": pod_spec(container(tiny, name="node"))}},
    }
    spec = {"mlPolicy": {"numNodes": 1}, "template": {"spec": {"replicatedJobs": [{"name": "node", "template": job}]}}}
    name = namespace.name
    cluster.apply({"apiVersion": TRAINER.version, "kind": TRAINER.kind, "metadata": {"name": name}, "spec": spec})
    yield name
    cluster.resource(TRAINER.kind, TRAINER.version).delete(name=name)


def trainjob(runtime: str, *arguments: str, **fields: Any) -> Object:
    """Give a TrainJob of two nodes."""
    trainer = {"numNodes": 2, "args": list(arguments), "env": [{"name": "EXTRA", "value": "here"}]}
    spec = {"runtimeRef": {"name": runtime}, "trainer": trainer, **fields}
    return {"apiVersion": TRAINER.version, "kind": "TrainJob", "metadata": {"name": "gang"}, "spec": spec}


def test_its_pods_reach_one_another_by_name_and_complete(namespace: Namespace, runtime: str) -> None:
    namespace.apply(trainjob(runtime, *SERVES))
    pods = namespace.wait_pods(lambda pods: pods if sum(map(ready, pods)) == 2 else None)
    assert {pod["spec"]["hostname"] for pod in pods} == {"gang-node-0-0", "gang-node-0-1"}
    name = pods[0]["metadata"]["name"]
    assert namespace.execute(name, "/tiny", "get", "http://gang-node-0-1.gang:8080").strip() == "gang-node-0-1"
    assert namespace.execute(name, "/tiny", "env", "EXTRA").strip() == "EXTRA=here"
    for pod in pods:
        end(namespace, pod)
    namespace.wait("TrainJob", "gang", lambda found: condition(found, "Complete") == "True")


def test_one_whose_pod_fails_is_failed(namespace: Namespace, runtime: str) -> None:
    namespace.apply(trainjob(runtime, "exit", "41"))
    namespace.wait("TrainJob", "gang", lambda found: condition(found, "Failed") == "True")


def test_a_suspended_one_has_no_pods_and_starts_when_it_is_resumed(namespace: Namespace, runtime: str) -> None:
    namespace.apply(trainjob(runtime, *SERVES))
    namespace.wait_pods(lambda pods: sum(map(ready, pods)) == 2)
    namespace.apply(trainjob(runtime, *SERVES, suspend=True))
    namespace.wait_pods(lambda pods: not pods)
    namespace.apply(trainjob(runtime, *SERVES, suspend=False))
    namespace.wait_pods(lambda pods: sum(map(ready, pods)) == 2)


@pytest.mark.usefixtures("runtime")
def test_one_whose_runtime_is_not_there_is_refused(namespace: Namespace) -> None:
    with pytest.raises(ApiException, match=r"ClusterTrainingRuntime.*nobody.*not found"):
        namespace.apply(trainjob("nobody", *SERVES))
