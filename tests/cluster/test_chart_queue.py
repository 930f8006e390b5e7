"""Under Kueue a run waits for quota, gives it up to whoever is more urgent, and goes on from its checkpoint."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from docs.chart import CHART
from examples.local_s3 import Server
from tests.chart.helm import helm as program
from tests.cluster import lines
from tests.cluster.controllers import KINDS, SERVES, end, kueue, need_engine
from tests.cluster.kube import Cluster, Namespace, Object, exit_code, ready
from tests.cluster.lines import Bucket, Release
from tests.cluster.machine import lifetime
from tests.cluster.machine.addons import KUEUE
from tests.cluster.manifests import container, pod_spec
from tests.cluster.test_kueue import admitted, wait_workload, why_waiting
from trainer.contract import ExitCode

pytestmark = pytest.mark.builds(KUEUE)

CPU = {"requests": {"cpu": "100m"}}
"""What each pod asks for; the queue has it once."""


@pytest.fixture(autouse=True)
def queue(hands: None, cluster: Cluster, namespace: Namespace) -> Iterator[None]:
    """A queue with room for one pod, two priorities, and preemption of the lower one."""
    version = KUEUE.version
    with kueue(namespace, "cpu", CPU["requests"]["cpu"], preemption={"withinClusterQueue": "LowerPriority"}):
        for priority, value in (("low", 100), ("high", 1000)):
            metadata = {"name": f"{namespace.name}-{priority}"}
            cluster.apply(
                {"apiVersion": version, "kind": "WorkloadPriorityClass", "metadata": metadata, "value": value}
            )
        yield
    for priority in ("low", "high"):
        cluster.resource("WorkloadPriorityClass", version).delete(name=f"{namespace.name}-{priority}")


def holder(name: str, image: str, *, priority: str) -> Object:
    """Give a Job that holds the whole quota until it is told to end."""
    pod = pod_spec(container(image, *SERVES, resources=CPU))
    labels = {"kueue.x-k8s.io/queue-name": "queue", "kueue.x-k8s.io/priority-class": priority}
    spec = {"template": {"spec": pod}}
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name, "labels": labels}, "spec": spec}


def serving(namespace: Namespace, name: str) -> Object:
    """Give the pod of a holder once it has the quota."""
    return namespace.wait_pods(
        lambda pods: next(filter(ready, pods), None), labels=f"batch.kubernetes.io/job-name={name}", deadline=120
    )


@pytest.mark.parametrize(
    ("tool", "engine"),
    [
        *(("helm4", "job"), ("helm3", "job"), ("kubectl", "job"), ("helm4", "jobset"), ("helm3", "jobset")),
        *(("helm4", "trainjob"), ("helm3", "trainjob"), ("kubectl", "trainjob")),
    ],
)
def test_the_same_file_again_takes_nothing_from_a_run_that_has_its_quota(
    tool: str, engine: str, namespace: Namespace, tiny: str, s3_outside: Server, tmp_path: Path
) -> None:
    need_engine(namespace.cluster, engine)
    bucket = Bucket(server=s3_outside, name=namespace.name)
    namespace.apply(bucket.keys())
    tenth = {"requests": {"cpu": "100m"}}
    content = lines.job(
        bucket, image="none", engine=engine, queue="queue", priority=f"{namespace.name}-low", resources=tenth
    )
    file = tmp_path / "values.yaml"
    file.write_text(yaml.safe_dump(content), "utf-8")

    def again() -> None:
        if tool == "kubectl":
            made = tmp_path / "objects.yaml"
            made.write_text(program("helm4", "template", "lines", CHART, "--values", file, "--skip-tests"), "utf-8")
            # From the client's side a list is written whole, and that of a TrainJob's patches is Kueue's, too.
            side = ["--server-side"] if engine == "trainjob" else []
            lifetime.kubectl("apply", *side, "--namespace", namespace.name, "--filename", str(made))
        else:
            Release(namespace=namespace, scratch=tmp_path, helm=tool).upgrade(content)

    def state() -> tuple[bool, int, list[str]]:
        kind, version = KINDS[engine]
        (job,) = namespace.cluster.find(
            kind, namespace=namespace.name, version=version, labels=f"ocrfleet.io/name={lines.NAME}"
        )
        pods = namespace.pods(f"ocrfleet.io/name={lines.NAME}")
        return job["spec"]["suspend"], job["metadata"]["generation"], [pod["metadata"]["uid"] for pod in pods]

    namespace.apply(holder("other", tiny, priority=f"{namespace.name}-low"))
    other = serving(namespace, "other")
    again()
    waiting = state()
    assert waiting[0] is True
    again()
    assert state() == waiting, "a run that waits for its quota goes on waiting"

    end(namespace, other)
    namespace.wait_pods(bool, labels=f"ocrfleet.io/name={lines.NAME}", deadline=120)
    running = state()
    assert running[0] is False
    again()
    assert state() == running, "a run that has its quota keeps it"


@pytest.mark.timeout(1200)
@pytest.mark.parametrize("engine", KINDS)
def test_a_run_waits_for_quota_is_preempted_and_goes_on_from_its_checkpoint_to_its_model(
    engine: str, namespace: Namespace, tinytrainer: str, tiny: str, s3_outside: Server, tmp_path: Path
) -> None:
    need_engine(namespace.cluster, engine)
    low, high = (f"{namespace.name}-{priority}" for priority in ("low", "high"))
    bucket = Bucket.filled(s3_outside, namespace.name, tmp_path)
    namespace.apply(bucket.keys())
    namespace.apply(holder("first", tiny, priority=low))
    first = serving(namespace, "first")
    release = Release(namespace=namespace, scratch=tmp_path)
    release.upgrade(
        lines.job(bucket, image=tinytrainer, epochs=60, engine=engine, queue="queue", priority=low, resources=CPU)
    )
    kind, version = KINDS[engine]
    (name,) = release.objects(kind, version=version)
    assert "insufficient unused quota for cpu" in wait_workload(namespace, name, why_waiting)
    assert not namespace.pods(f"ocrfleet.io/name={lines.NAME}")
    end(namespace, first)
    wait_workload(namespace, name, admitted)
    pod = namespace.wait_pods(leader, deadline=120)
    namespace.follow(pod["metadata"]["name"], "[train] checkpoint at step", deadline=300)

    namespace.apply(holder("urgent", tiny, priority=high))
    assert namespace.wait("Pod", pod["metadata"]["name"], exit_code, deadline=180) == ExitCode.STOPPED
    urgent = serving(namespace, "urgent")
    assert namespace.get(kind, name, version=version)["spec"]["suspend"] is True
    flushed = bucket.newest(lines.run_of(name))
    end(namespace, urgent)

    pod = namespace.wait_pods(leader, deadline=180)
    namespace.follow(pod["metadata"]["name"], "[train] Training ", deadline=180)
    (step,) = re.findall(r"resuming after step (\d+)\.", namespace.logs(pod["metadata"]["name"]))
    assert int(step) == flushed
    namespace.wait(kind, name, lines.done, version=version, deadline=600)
    record = bucket.record(lines.run_of(name))
    assert record["attempt"] == 2


def leader(pods: list[Object]) -> Object | None:
    """Give the running pod of the run."""
    for pod in pods:
        ours = pod["metadata"]["labels"].get("ocrfleet.io/name") == lines.NAME
        if ours and pod["status"].get("phase") == "Running" and "deletionTimestamp" not in pod["metadata"]:
            return pod
    return None
