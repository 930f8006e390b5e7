"""Kueue holds back what does not fit, starts it when there is room, and stops what is told to stop."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any, TypeVar

import pytest

from tests.cluster.controllers import SERVES, end, kueue
from tests.cluster.gpus import GPU, offered
from tests.cluster.kube import Cluster, Namespace, Object, condition, ended, ready
from tests.cluster.machine.addons import JOBSET, KUEUE
from tests.cluster.machine.layout import NODES
from tests.cluster.manifests import container, pod_spec

pytestmark = pytest.mark.builds(KUEUE)

T = TypeVar("T")
JOB = "batch/v1"
"""Volcano has Jobs, too."""

QUEUE = {"kueue.x-k8s.io/queue-name": "queue"}


@pytest.fixture(scope="module", autouse=True)
def gpus(cluster: Cluster) -> Iterator[None]:
    """One GPU on each node."""
    if not cluster.local:
        yield  # all of these are skipped
        return
    with ExitStack() as both:
        for node in NODES:
            both.enter_context(offered(cluster, node.name, 1))
        yield


@pytest.fixture(autouse=True)
def queue(hands: None, namespace: Namespace) -> Iterator[None]:
    """A queue for both GPUs in the namespace."""
    with kueue(namespace, GPU, 2):
        yield


def job(name: str, image: str, *arguments: str, pods: int = 1, labels: dict[str, str] | None = None) -> Object:
    """Give an Indexed Job whose pods take a GPU each."""
    one = container(image, *arguments, resources={"limits": {GPU: "1"}})
    spec = {"completions": pods, "parallelism": pods, "completionMode": "Indexed", "template": {"spec": pod_spec(one)}}
    metadata = {"name": name, "labels": QUEUE if labels is None else labels}
    return {"apiVersion": JOB, "kind": "Job", "metadata": metadata, "spec": spec}


def gang(image: str, *arguments: str) -> Object:
    """Give a JobSet of one such Job with two pods."""
    inner = job("node", image, *arguments, pods=2)["spec"]
    spec = {"replicatedJobs": [{"name": "node", "replicas": 1, "template": {"spec": inner}}]}
    return {
        "apiVersion": JOBSET.version,
        "kind": "JobSet",
        "metadata": {"name": "gang", "labels": QUEUE},
        "spec": spec,
    }


def wait_workload(namespace: Namespace, owner: str, true: Callable[[Object], T | None], *, deadline: int = 60) -> T:
    """Watch the Workload that Kueue makes for an object until something is true of it; give what `true` gave.

    Raises:
        AssertionError: it did not come true.
    """
    last = "it never was there"
    workloads = namespace.cluster.resource("Workload", KUEUE.version)
    for event in workloads.watch(namespace=namespace.name, timeout=deadline):
        seen = event["raw_object"]
        if any(each["name"] == owner for each in seen["metadata"].get("ownerReferences", [])):
            if answer := true(seen):
                return answer
            last = str(seen.get("status"))
    raise AssertionError(f"The Workload of {owner}: not true within {deadline} s. Its last state: {last}")


def admitted(workload: Object) -> bool:
    """Tell whether it has got its quota and may run."""
    return condition(workload, "Admitted") == "True"


def why_waiting(workload: Object) -> str | None:
    """Give the reason for which it has no quota."""
    conditions = workload.get("status", {}).get("conditions") or []
    waiting = (each for each in conditions if each["type"] == "QuotaReserved" and each["status"] == "False")
    return next((each["message"] for each in waiting), None)


def running(count: int) -> Callable[[list[Object]], list[Object] | None]:
    """Give a test for so many pods that are ready, and none that has ended."""

    def so_many(pods: list[Object]) -> list[Object] | None:
        alive = [pod for pod in pods if not ended(pod)]
        return alive if sum(map(ready, alive)) == count else None

    return so_many


def finished(found: Object) -> bool:
    """Tell whether a Job has come to a good end."""
    return condition(found, "Complete") == "True"


def test_a_queued_job_starts_suspended_is_admitted_and_completes(namespace: Namespace, tiny: str) -> None:
    made = namespace.apply(job("first", tiny, "echo", "done"))
    assert made["spec"]["suspend"] is True
    wait_workload(namespace, "first", admitted)
    namespace.wait("Job", "first", finished, version=JOB)
    wait_workload(namespace, "first", lambda found: condition(found, "Finished") == "True")


def test_a_job_without_a_queue_is_none_of_its_business(namespace: Namespace, tiny: str) -> None:
    made = namespace.apply(job("free", tiny, "echo", "done", labels={}))
    assert not made["spec"]["suspend"]
    namespace.wait("Job", "free", finished, version=JOB)


def test_a_job_that_does_not_fit_says_why_and_starts_when_the_first_has_ended(namespace: Namespace, tiny: str) -> None:
    namespace.apply(job("first", tiny, *SERVES, pods=2))
    pods = namespace.wait_pods(running(2))
    namespace.apply(job("second", tiny, "echo", "done"))
    reason = wait_workload(namespace, "second", why_waiting)
    assert f"insufficient unused quota for {GPU} in flavor {namespace.name}, 1 more needed" in reason
    assert namespace.get("Job", "second", version=JOB)["spec"]["suspend"] is True
    for pod in pods:
        end(namespace, pod)
    wait_workload(namespace, "second", admitted)
    namespace.wait("Job", "second", finished, version=JOB)


def test_a_job_that_can_never_fit_says_so(namespace: Namespace, tiny: str) -> None:
    namespace.apply(job("large", tiny, *SERVES, pods=3))
    reason = wait_workload(namespace, "large", why_waiting)
    assert f"insufficient quota for {GPU} in flavor {namespace.name}" in reason
    assert "current podset request (3) > maximum capacity (2)" in reason


def test_a_jobset_is_queued_as_a_whole(namespace: Namespace, tiny: str) -> None:
    namespace.apply(job("first", tiny, *SERVES))
    (pod,) = namespace.wait_pods(running(1))
    made = namespace.apply(gang(tiny, "echo", "done"))
    assert made["spec"]["suspend"] is True
    assert "1 more needed" in wait_workload(namespace, "gang", why_waiting)
    assert len(namespace.pods()) == 1, "none of a gang starts before all of it can"
    end(namespace, pod)
    namespace.wait("JobSet", "gang", lambda found: found.get("status", {}).get("terminalState") == "Completed")


@pytest.mark.parametrize("kind", ["Job", "JobSet"])
def test_a_workload_that_is_deactivated_stops_and_goes_on_when_it_is_active_again(
    namespace: Namespace, tiny: str, kind: str
) -> None:
    wanted = {"Job": job("gang", tiny, *SERVES, pods=2), "JobSet": gang(tiny, *SERVES)}[kind]
    namespace.apply(wanted)
    namespace.wait_pods(running(2))
    name = wait_workload(namespace, "gang", lambda found: str(found["metadata"]["name"]))
    set_active(namespace, name, False)
    namespace.wait_pods(lambda pods: not any(map(ready, pods)))
    namespace.wait(kind, "gang", lambda found: found["spec"]["suspend"] is True, version=wanted["apiVersion"])
    set_active(namespace, name, True)
    namespace.wait_pods(running(2))


def set_active(namespace: Namespace, workload: str, value: bool) -> Any:
    """Say whether a Workload may run."""
    return namespace.cluster.resource("Workload", KUEUE.version).patch(
        name=workload,
        namespace=namespace.name,
        body={"spec": {"active": value}},
        content_type="application/merge-patch+json",
    )
