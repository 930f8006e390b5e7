"""A job file becomes a published model by `helm` alone, in a restricted namespace with the network policy on."""

import base64
import json
import signal
from pathlib import Path

import pytest
import yaml

from docs.chart import CHART
from examples.demo import pages
from examples.local_s3 import Server
from tests.chart.helm import helm
from tests.cluster import hurt
from tests.cluster.controllers import need_engine
from tests.cluster.kube import Cluster, Namespace, Object, condition
from tests.cluster.machine import policies
from tests.cluster.machine.addons import JOBSET, TRAINER
from tests.cluster.machine.separate import FIREWALL
from trainer.storage import open_store

pytestmark = pytest.mark.builds(JOBSET, TRAINER, FIREWALL)

BUCKET = "charts"
KINDS = {"job": ("Job", "Complete"), "jobset": ("JobSet", "Completed"), "trainjob": ("TrainJob", "Complete")}
"""The kind of each engine that `helm` makes here, and its own word for a good end."""


def job_file(folder: Path, *, image: str, server: Server, engine: str) -> Path:
    """Write a job of two nodes and a few steps."""
    content = {
        "apiVersion": "ocrfleet.io/v1",
        "name": f"lines-{engine}",
        "run": {
            "task": "rec",
            "recipe": "rec-crnn-mobile",
            "overrides": {
                f"{part}.dataset.transforms.RecResizeImg.image_shape": [3, 32, 64] for part in ("Train", "Eval")
            },
            "data": {"train": f"s3://{BUCKET}/pages/", "split": "4:1:1"},
            "train": {"epochs": 6, "batchSizePerDevice": 4, "evaluateEvery": "6ep"},
            "checkpoint": {"every": "2steps"},
            "gate": {"minimum": 0},
            "output": f"s3://{BUCKET}/{engine}/",
        },
        "placement": {
            "engine": engine,
            "nodes": 2,
            "device": "cpu",
            "image": image,
            "credentialsSecret": "bucket",
            "storage": {"cache": {"emptyDir": "1Gi"}, "scratch": "2Gi", "sharedMemory": "256Mi"},
            "deadlines": {"rendezvous": "4m", "stall": "4m"},
        },
        "chart": {
            "endpoint": {"url": server.endpoint, "region": "us-east-1"},
            "affinity": {
                "podAntiAffinity": {
                    "requiredDuringSchedulingIgnoredDuringExecution": [
                        {
                            "topologyKey": "kubernetes.io/hostname",
                            "labelSelector": {"matchLabels": {"ocrfleet.io/name": f"lines-{engine}"}},
                        }
                    ]
                }
            },
        },
    }
    path = folder / "job.yaml"
    path.write_text(yaml.safe_dump(content), "utf-8")
    return path


@pytest.fixture
def bucket(s3_outside: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Server:
    """Six labelled pages in a bucket, and the environment that reaches it."""
    for name, value in s3_outside.environment.items():
        monkeypatch.setenv(name, value)
    s3_outside.create_bucket(BUCKET)
    export = tmp_path / "pages"
    pages.write_export(export, pages=6, seed=1)
    files = {f"{path.relative_to(export)}": path for path in export.rglob("*") if path.is_file()}
    open_store(f"s3://{BUCKET}/pages/").push(files)
    return s3_outside


def credentials(server: Server) -> Object:
    text = f"[default]\naws_access_key_id = {server.access_key}\naws_secret_access_key = {server.secret_key}\n"
    data = {"credentials": base64.b64encode(text.encode()).decode()}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "bucket"}, "data": data}


@pytest.mark.usefixtures("hands")
@pytest.mark.timeout(900)
@pytest.mark.parametrize("engine", ["job", "jobset", "trainjob"])
def test_a_run_of_two_nodes_publishes_its_model_and_outlives_a_killed_pod(
    engine: str,
    cluster: Cluster,
    namespace: Namespace,
    trainer: str,
    bucket: Server,
    tmp_path: Path,
) -> None:
    need_engine(cluster, engine)
    policies.install()
    namespace.apply(credentials(bucket))
    path = job_file(tmp_path, image=trainer, server=bucket, engine=engine)
    install = ("upgrade", "--install", "lines", CHART, "--values", path, "--namespace", namespace.name)
    helm("helm4", *install, "--kubeconfig", cluster.kubeconfig)
    # Twice is as once.
    helm("helm4", *install, "--kubeconfig", cluster.kubeconfig)

    def both(found: list[Object]) -> dict[str, Object] | None:
        running = {
            pod["metadata"]["labels"]["batch.kubernetes.io/job-completion-index"]: pod
            for pod in found
            if pod["status"].get("phase") == "Running"
        }
        return running if len(running) == 2 else None

    pods = namespace.wait_pods(both, deadline=120)
    assert len({pod["spec"]["nodeName"] for pod in pods.values()}) == 2
    checkpoints = open_store(f"s3://{BUCKET}/{engine}/checkpoints/")
    namespace.follow(pods["0"]["metadata"]["name"], "[train] checkpoint at step", deadline=180)
    hurt.send(pods["1"], signal.SIGKILL)
    job = namespace.wait("Job", pods["0"]["metadata"]["labels"]["batch.kubernetes.io/job-name"], done, deadline=300)
    assert condition(job, "Complete") == "True", job["status"]
    kind, over = KINDS[engine]
    (made,) = cluster.find(kind, namespace=namespace.name)
    namespace.wait(kind, made["metadata"]["name"], lambda found: condition(found, over) == "True")
    assert list(checkpoints.list())
    output = open_store(f"s3://{BUCKET}/{engine}/")
    (manifest,) = (info.key for info in output.list("runs/") if info.key.endswith("/manifest.json"))
    record = json.loads(output.get(manifest.replace("manifest.json", "2/record.json")))
    assert (record["nodes"], record["devices"]) == (2, 2)


def done(job: Object) -> Object | None:
    return job if "True" in (condition(job, "Complete"), condition(job, "Failed")) else None
