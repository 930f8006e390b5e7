"""The API server takes objects that fit the definitions of Volcano and the training operator, and refuses others."""

import copy
from collections.abc import Iterator
from typing import Any

import pytest

from tests.cluster.kube import ApiException, Cluster, Namespace, Object
from tests.cluster.machine import kinds
from tests.cluster.machine.kinds import TRAINING_OPERATOR, VOLCANO
from tests.cluster.manifests import container, pod_spec

TEMPLATE = {"spec": pod_spec(container("localhost/any:1", name="paddle"))}
WORKER = {"replicas": 2, "restartPolicy": "Never", "template": TEMPLATE}
PADDLEJOB: Object = {
    "apiVersion": TRAINING_OPERATOR.version,
    "kind": "PaddleJob",
    "metadata": {"name": "gang"},
    "spec": {"runPolicy": {"cleanPodPolicy": "None", "backoffLimit": 3}, "paddleReplicaSpecs": {"Worker": WORKER}},
}
TASK = {"name": "node", "replicas": 2, "template": TEMPLATE, "policies": [{"event": "PodFailed", "exitCode": 1}]}
VOLCANO_JOB: Object = {
    "apiVersion": VOLCANO.version,
    "kind": "Job",
    "metadata": {"name": "gang"},
    "spec": {
        "schedulerName": "volcano",
        "minAvailable": 2,
        "queue": "default",
        "plugins": {"svc": ["--publish-not-ready-addresses=true"], "env": []},
        "policies": [{"event": "PodEvicted", "action": "RestartTask"}],
        "tasks": [TASK],
    },
}
POD_GROUP: Object = {
    "apiVersion": "scheduling.volcano.sh/v1beta1",
    "kind": "PodGroup",
    "metadata": {"name": "gang"},
    "spec": {"minMember": 2, "queue": "default"},
}
QUEUE: Object = {
    "apiVersion": "scheduling.volcano.sh/v1beta1",
    "kind": "Queue",
    "metadata": {"name": "gpus"},
    "spec": {"weight": 1, "capability": {"nvidia.com/gpu": 2}},
}


@pytest.fixture(scope="module", autouse=True)
def defined(cluster: Cluster) -> Iterator[None]:
    for each in (VOLCANO, TRAINING_OPERATOR):
        if cluster.local:
            kinds.define(each)
        elif not cluster.has(each.kind, each.version):
            pytest.skip(f"this cluster lacks {each.title} ({each.version})")
    yield
    if cluster.local:
        # What asks the cluster for its engines must not find one that does nothing, and `Job` must be one kind again.
        kinds.forget(VOLCANO)
        cluster.has("Forgotten", VOLCANO.version)  # the client looks anew for what it does not know


def ask(namespace: Namespace, body: Object) -> None:
    """Ask the API server whether it would take an object in which no field is unknown."""
    resource = namespace.cluster.resource(body["kind"], body["apiVersion"])
    where = {"namespace": namespace.name} if resource.namespaced else {}
    resource.create(body=body, dry_run="All", query_params=[("fieldValidation", "Strict")], **where)


def changed(body: Object, path: str, value: Any) -> Object:
    """Give an object with one field changed; the path has dots, and numbers for places in lists."""
    whole = copy.deepcopy(body)
    *way, last = path.split(".")
    place: Any = whole
    for step in way:
        place = place[int(step) if isinstance(place, list) else step]
    place[last] = value
    return whole


@pytest.mark.parametrize(
    "body", [PADDLEJOB, VOLCANO_JOB, POD_GROUP, QUEUE], ids=lambda body: f"{body['kind']} of {body['apiVersion']}"
)
def test_a_right_one_is_taken(namespace: Namespace, body: Object) -> None:
    ask(namespace, body)


@pytest.mark.parametrize(
    ("body", "path", "value", "reason"),
    [
        (PADDLEJOB, "spec.paddleReplicaSpecs", None, "spec.paddleReplicaSpecs"),
        (PADDLEJOB, "spec.paddleReplicaSpecs.Worker.replicas", "two", "must be of type integer"),
        (PADDLEJOB, "spec.paddleReplicaSpecs.Worker.nodes", 2, "unknown field .*Worker.nodes"),
        (PADDLEJOB, "spec.runPolicy.suspend", "yes", "must be of type boolean"),
        (VOLCANO_JOB, "spec.minAvailable", "two", "must be of type integer"),
        (VOLCANO_JOB, "spec.tasks.0.policies.0.exitCode", "one", "must be of type integer"),
        (VOLCANO_JOB, "spec.tasks.0.nodes", 2, "unknown field .*nodes"),
        (POD_GROUP, "spec.minMember", "two", "must be of type integer"),
        (QUEUE, "spec.weight", "one", "must be of type integer"),
    ],
)
def test_a_wrong_one_is_refused(namespace: Namespace, body: Object, path: str, value: Any, reason: str) -> None:
    with pytest.raises(ApiException, match=reason):
        ask(namespace, changed(body, path, value))
