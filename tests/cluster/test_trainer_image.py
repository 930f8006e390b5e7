"""The project's own image on a cluster: two pods add up with Paddle, and any user can train."""

import base64
import json
import secrets
from pathlib import Path

import pytest

from examples.local_s3 import Server
from tests.cluster import allreduce, lines
from tests.cluster.kube import Namespace, Object, condition
from tests.cluster.lines import Bucket, Release
from tests.cluster.manifests import container, headless, pod_spec
from trainer.storage import open_store

PROGRAM = Path(allreduce.__file__)
LABELS = {"job-name": "sum"}


@pytest.mark.timeout(900)  # the image is built first when it is not there
def test_two_pods_on_two_nodes_add_up_with_paddle_and_write_to_s3_without_a_right_too_many(
    namespace: Namespace, trainer: str, s3_outside: Server
) -> None:
    s3_outside.create_bucket(namespace.name)
    for manifest in (headless("sum", LABELS), _secret(s3_outside), _program(), _job(namespace, trainer, s3_outside)):
        namespace.apply(manifest)
    assert namespace.wait("Job", "sum", _end, version="batch/v1", deadline=180) == "Complete"

    store = open_store(f"s3://{namespace.name}/sums/", environ=s3_outside.environment)
    found = [json.loads(store.get(f"{rank}.json")) for rank in range(2)]
    whole = allreduce.COUNT * (allreduce.COUNT - 1) / 2
    assert [each["sum"] for each in found] == [3 * whole] * 2, "rank 0 brings each number once, rank 1 twice"
    assert [each["mean"] for each in found] == [1.5 * whole] * 2
    assert [(each["rank"], each["world"]) for each in found] == [(0, 2), (1, 2)]
    assert [each["hosts"] for each in found] == [["sum-0", "sum-1"]] * 2

    assert len({pod["spec"]["nodeName"] for pod in namespace.pods()}) == 2
    assert [each["uid"] for each in found] == [65532] * 2
    assert [each["read_only"] for each in found] == [True] * 2
    assert [each["writable"] for each in found] == [["/tmp", "/tmp", "/work"]] * 2, "home, temporary files, work"
    assert [each["secrets"] for each in found] == [[]] * 2, "a worker gets nothing that opens a bucket"


def _end(job: Object) -> str | None:
    return next((name for name in ("Complete", "Failed") if condition(job, name) == "True"), None)


def _secret(s3: Server) -> Object:
    text = f"[default]\naws_access_key_id = {s3.access_key}\naws_secret_access_key = {s3.secret_key}\n"
    data = {"credentials": base64.b64encode(text.encode()).decode()}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s3"}, "data": data}


def _program() -> Object:
    data = {PROGRAM.name: PROGRAM.read_text("utf-8")}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "program"}, "data": data}


def _job(namespace: Namespace, image: str, s3: Server) -> Object:
    volumes: dict[str, Object] = {
        "/work": {"emptyDir": {}},
        "/tmp": {"emptyDir": {}},
        "/var/run/s3": {"secret": {"secretName": "s3"}},
        "/opt/program": {"configMap": {"name": "program"}},
    }
    environment = {
        "OCRFLEET_NODES": "2",
        "OCRFLEET_HOSTS": ",".join(f"sum-{rank}.sum.{namespace.name}.svc" for rank in range(2)),
        "AWS_ENDPOINT_URL": s3.endpoint,
        "AWS_SHARED_CREDENTIALS_FILE": "/var/run/s3/credentials",
    }
    adds = container(
        image,
        imagePullPolicy="Never",
        command=["python", f"/opt/program/{PROGRAM.name}", f"s3://{namespace.name}/sums/"],
        env=[{"name": name, "value": value} for name, value in environment.items()],
        volumeMounts=[{"name": path.strip("/").replace("/", "-"), "mountPath": path} for path in volumes],
    )
    one_a_node = {"labelSelector": {"matchLabels": LABELS}, "topologyKey": "kubernetes.io/hostname"}
    pod = pod_spec(
        adds,
        subdomain="sum",
        affinity={"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [one_a_node]}},
        volumes=[{"name": path.strip("/").replace("/", "-"), **source} for path, source in volumes.items()],
    )
    spec = {
        "completionMode": "Indexed",
        "completions": 2,
        "parallelism": 2,
        "backoffLimit": 0,
        "template": {"spec": pod},
    }
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "sum"}, "spec": spec}


@pytest.mark.timeout(900)
def test_a_run_works_under_a_user_and_group_that_no_image_knows(
    namespace: Namespace, trainer: str, s3_outside: Server, tmp_path: Path
) -> None:
    """As OpenShift has it: a number of the namespace's own for user and files, and group 0."""
    bucket = Bucket.filled(s3_outside, namespace.name, tmp_path)
    namespace.apply(bucket.keys())
    release = Release(namespace=namespace, scratch=tmp_path)
    content = lines.job(bucket, image=trainer, epochs=1)
    user = 1_000_000_000 + secrets.randbelow(1_000_000)
    content["chart"]["securityContext"] = {"runAsUser": user, "runAsGroup": 0, "fsGroup": user}
    release.upgrade(content)
    (name,) = release.objects()
    assert condition(namespace.wait("Job", name, lines.done, deadline=600), "Complete") == "True"
    assert bucket.record(lines.run_of(name))["attempt"] == 1
