"""A TrainJob and the runtime that we ship make the pods that engine `job` makes, but for a list of differences."""

from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from typing import Any, Final

import pytest

from docs.chart import CHART
from tests.chart.helm import rendered
from tests.chart.test_render import objects, workload
from tests.cluster.controllers import need_engine
from tests.cluster.kube import Cluster, Namespace, Object
from tests.cluster.machine.addons import JOBSET, TRAINER

pytestmark = pytest.mark.builds(JOBSET, TRAINER)

RANK: Final = "batch.kubernetes.io/job-completion-index"
JOB: Final = "batch.kubernetes.io/job-name"

OF_THE_POD: Final = {
    "metadata.labels.*job-name": "a Job of another name",
    "metadata.labels.*controller-uid": "another Job",
    "metadata.labels.jobset.sigs.k8s.io/*": "JobSet's own",
    "metadata.annotations.jobset.sigs.k8s.io/*": "JobSet's own",
    "spec.hostname": "the Job's name is in it",
    "spec.subdomain": "JobSet's own Service, which no TrainJob can name",
    "spec.containers.0.name": "Trainer knows its container as `node`",
    "spec.containers.0.env.OCRFLEET_OBJECT.valueFrom.fieldRef.fieldPath": "the TrainJob's name is the JobSet's",
    "spec.containers.0.env.OCRFLEET_HOSTS.value": "the names of JobSet",
}
"""What differs between the pods, and why."""

OF_THE_JOB: Final = {
    "activeDeadlineSeconds": "the TrainJob has it",
    "backoffLimit": "one runtime serves runs of every size, so it has the highest",
}
"""What differs between the Jobs that make the pods."""


def leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Give everything in an object by its path; what has a name of its own is found by that, wherever it stands."""
    if isinstance(value, Mapping):
        for name, inner in value.items():
            yield from leaves(inner, f"{path}.{name}".strip("."))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            named = isinstance(inner, Mapping) and path.endswith((".env", ".volumes", ".volumeMounts"))
            yield from leaves(inner, f"{path}.{inner['name'] if named else index}")
    else:
        yield path, value


def differences(one: Any, other: Any) -> set[str]:
    """Give the paths at which two objects are not the same."""
    first, second = dict(leaves(one)), dict(leaves(other))
    return {path for path in first.keys() | second.keys() if first.get(path) != second.get(path)}


def described(pod: Object) -> Object:
    """Give what a pod was made as: neither its own name nor what became of it."""
    metadata = {name: pod["metadata"].get(name, {}) for name in ("labels", "annotations")}
    return {"metadata": metadata, "spec": {name: part for name, part in pod["spec"].items() if name != "nodeName"}}


def leader(namespace: Namespace, job: str) -> Object:
    """Wait for the pod of a Job that has rank 0."""
    return namespace.wait_pods(lambda pods: pods[0] if pods else None, labels=f"{JOB}={job},{RANK}=0", deadline=120)


@pytest.mark.parametrize("case", ["job", "jobset", "trainjob"])
def test_its_pod_is_that_of_engine_job_but_for_these_differences(
    case: str, cluster: Cluster, namespace: Namespace
) -> None:
    need_engine(cluster, "trainjob")
    path = CHART / "ci" / f"{case}-values.yaml"
    texts = {engine: rendered("helm4", path, f"placement.engine={engine}") for engine in ("job", "trainjob")}
    for each in objects(texts["job"]):
        if each["kind"] in ("ServiceAccount", "Service"):
            namespace.apply(each)
    made = {engine: namespace.apply(workload(text))["metadata"]["name"] for engine, text in texts.items()}
    names = {"job": made["job"], "trainjob": f"{made['trainjob']}-node-0"}
    pods = {engine: leader(namespace, name) for engine, name in names.items()}

    found = differences(described(pods["job"]), described(pods["trainjob"]))
    assert not [path for path in found if not any(fnmatchcase(path, each) for each in OF_THE_POD)]
    assert not [each for each in OF_THE_POD if not any(fnmatchcase(path, each) for path in found)], "it is no longer so"

    jobs = {engine: namespace.get("Job", name)["spec"] for engine, name in names.items()}
    for spec in jobs.values():
        del spec["template"], spec["selector"]
    assert differences(jobs["job"], jobs["trainjob"]) == OF_THE_JOB.keys()

    # A variable is known to those behind it.
    order = [each["name"] for each in pods["trainjob"]["spec"]["containers"][0]["env"]]
    assert order.index("OCRFLEET_OBJECT") < order.index("OCRFLEET_HOSTS")
