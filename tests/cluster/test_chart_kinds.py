"""The chart's jobs for Volcano and the training operator fit their definitions; the operator trains one.

Volcano's own controller does not run here: nothing is proven of what it does with them.
"""

import signal
from functools import partial
from pathlib import Path

import pytest
import yaml

from docs.chart import CHART
from examples.local_s3 import Server
from tests.chart.helm import rendered
from tests.chart.test_render import workload
from tests.cluster import hurt, lines
from tests.cluster.controllers import need
from tests.cluster.kube import ApiException, Namespace, Object, condition
from tests.cluster.lines import Bucket, Release
from tests.cluster.machine.addons import TRAINING_OPERATOR
from tests.cluster.test_crds import ask, defined  # noqa: F401  a fixture of each test here

pytestmark = pytest.mark.builds(TRAINING_OPERATOR)

FILES = sorted(CHART.glob("ci/*-values.yaml"))
SETS = {
    "as it is": (),
    "in a queue": ("placement.queue=team", "placement.priority=nightly"),
    "on CPU": ("placement.device=cpu", "chart.rdma.resource=null", "placement.nodes=1"),
    "held": ("placement.debug.holdOnFailure=1h", "placement.retries=0"),
    "of a thousand nodes": ("placement.nodes=1000", "name=" + "a" * 37),
}
"""Changes to the chart's own test values: queues, sizes, names of the greatest length."""


@pytest.mark.parametrize("sets", SETS.values(), ids=SETS)
@pytest.mark.parametrize("engine", ["volcano", "paddlejob"])
def test_its_definition_takes_its_job(engine: str, sets: tuple[str, ...], namespace: Namespace) -> None:
    for path in FILES:
        job = workload(rendered("helm4", path, f"placement.engine={engine}", "placement.deadlines.run=24h", *sets))
        ask(namespace, job)
        with pytest.raises(ApiException, match=r'unknown field \\"spec.gang\\"'):
            ask(namespace, {**job, "spec": {**job["spec"], "gang": 1}})


def workers(name: str, pods: list[Object]) -> dict[str, Object] | None:
    """Give both pods of a PaddleJob by rank, once they run."""
    running = {
        pod["metadata"]["labels"]["training.kubeflow.org/replica-index"]: pod
        for pod in pods
        if pod["metadata"]["labels"].get("training.kubeflow.org/job-name") == name
        and pod["status"].get("phase") == "Running"
        and "deletionTimestamp" not in pod["metadata"]
    }
    return running if len(running) == 2 else None


def over(found: Object) -> Object | None:
    return found if "True" in (condition(found, "Succeeded"), condition(found, "Failed")) else None


@pytest.mark.usefixtures("hands")
@pytest.mark.timeout(1200)
def test_a_paddlejob_of_two_nodes_outlives_a_killed_pod_and_publishes_its_model(
    namespace: Namespace, trainer: str, s3_outside: Server, tmp_path: Path
) -> None:
    need(namespace.cluster, TRAINING_OPERATOR)
    bucket = Bucket.filled(s3_outside, namespace.name, tmp_path)
    namespace.apply(bucket.keys())
    content = lines.job(bucket, image=trainer, engine="paddlejob", nodes=2)
    apart = {
        "topologyKey": "kubernetes.io/hostname",
        "labelSelector": {"matchLabels": {"ocrfleet.io/name": lines.NAME}},
    }
    content["chart"]["affinity"] = {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [apart]}}
    release = Release(namespace=namespace, scratch=tmp_path)
    release.upgrade(content)
    (name,) = release.objects("PaddleJob")
    both = partial(workers, name)

    pods = namespace.wait_pods(both, deadline=300)
    assert len({pod["spec"]["nodeName"] for pod in pods.values()}) == 2
    namespace.follow(pods["0"]["metadata"]["name"], "[train] checkpoint at step", deadline=300)
    hurt.send(pods["1"], signal.SIGKILL)
    namespace.wait_pods(
        lambda found: (now := both(found)) and now["1"]["metadata"]["uid"] != pods["1"]["metadata"]["uid"],
        deadline=120,
    )
    job = namespace.wait("PaddleJob", name, over, deadline=600)
    assert condition(job, "Succeeded") == "True", yaml.safe_dump(job["status"])
    left = {pod["metadata"]["name"]: pod for pod in namespace.pods()}
    assert left.keys() == {f"{name}-worker-0", f"{name}-worker-1"}
    assert left[f"{name}-worker-0"]["metadata"]["uid"] == pods["0"]["metadata"]["uid"], "the leader has stayed"
    record = bucket.record(lines.run_of(name))
    assert (record["nodes"], record["devices"]) == (2, 2)
