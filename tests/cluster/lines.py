"""A small run on CPU, as long as a test needs it, and its bucket."""

import base64
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from docs.chart import CHART
from examples.demo import pages
from examples.local_s3 import Server
from tests.chart.helm import helm
from tests.cluster.kube import Namespace, Object, condition
from trainer.state.checkpoints import Remote
from trainer.storage import Store, open_store

NAME = "lines"


@dataclass(frozen=True, kw_only=True)
class Bucket:
    """A bucket with a dataset of six labelled pages."""

    server: Server
    name: str

    @classmethod
    def filled(cls, server: Server, name: str, scratch: Path) -> "Bucket":
        """Make one."""
        server.create_bucket(name)
        made = cls(server=server, name=name)
        pages.write_export(scratch / "pages", pages=6, seed=1)
        found = (path for path in (scratch / "pages").rglob("*") if path.is_file())
        made.store("pages").push({f"{path.relative_to(scratch / 'pages')}": path for path in found})
        return made

    def store(self, folder: str) -> Store:
        """Open a folder of it."""
        return open_store(f"s3://{self.name}/{folder}/", environ=self.server.environment)

    def keys(self, *, key: str | None = None, secret: str | None = None, name: str = "bucket") -> Object:
        """Give a Secret, by default the one that the job file names, with these keys or the right ones."""
        key, secret = key or self.server.access_key, secret or self.server.secret_key
        text = f"[default]\naws_access_key_id = {key}\naws_secret_access_key = {secret}\n"
        data = {"credentials": base64.b64encode(text.encode()).decode()}
        return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "data": data}

    def newest(self, run: str) -> int:
        """Give the step of a run's newest whole checkpoint in the bucket."""
        return Remote(store=self.store(f"out/checkpoints/{run}")).steps()[-1][1]

    def record(self, run: str) -> dict[str, Any]:
        """Give the record of a published run.

        Raises:
            NotFoundError: its model is not there.
        """
        output = self.store("out")
        files = json.loads(output.get(f"runs/{run}/manifest.json"))["files"]
        path = next(each["path"] for each in files if each["path"].endswith("record.json"))
        record: dict[str, Any] = json.loads(output.get(f"runs/{run}/{path}"))
        return record


def job(bucket: Bucket, *, image: str, epochs: int = 6, seed: int = 42, **placement: Any) -> dict[str, Any]:
    """Return a job file; each epoch is a few steps, and a checkpoint is pushed every fifth.

    Args:
        bucket: of the dataset and the output.
        image: of the trainer or the tiny one, whose steps take a tenth of a second each.
        epochs: how long it trains.
        seed: another one is another run.
        placement: fields of the job file's `placement`.
    """
    narrow = {f"{part}.dataset.transforms.RecResizeImg.image_shape": [3, 32, 64] for part in ("Train", "Eval")}
    return {
        "apiVersion": "ocrfleet.io/v1",
        "name": NAME,
        "run": {
            "task": "rec",
            "recipe": "rec-crnn-mobile",
            "overrides": narrow,
            "data": {"train": f"s3://{bucket.name}/pages/", "split": "4:1:1"},
            "train": {"epochs": epochs, "batchSizePerDevice": 4, "evaluateEvery": f"{epochs}ep", "seed": seed},
            "checkpoint": {"every": "5steps"},
            "gate": {"minimum": 0},
            "output": f"s3://{bucket.name}/out/",
        },
        "placement": {
            "device": "cpu",
            "image": image,
            "credentialsSecret": "bucket",
            "storage": {"cache": {"emptyDir": "1Gi"}, "scratch": "2Gi", "sharedMemory": "256Mi"},
            "deadlines": {"rendezvous": "6m", "stall": "6m"},
            **placement,
        },
        "chart": {"endpoint": {"url": bucket.server.endpoint, "region": "us-east-1"}},
    }


@dataclass(frozen=True, kw_only=True)
class Release:
    """The chart, as a user of Helm has it in a namespace."""

    namespace: Namespace
    scratch: Path
    helm: str = "helm4"

    def __call__(self, *words: str | Path) -> str:
        """Run a command of Helm there."""
        where = ("--namespace", self.namespace.name, "--kubeconfig", self.namespace.cluster.kubeconfig)
        return helm(self.helm, *words, *where)

    def upgrade(self, content: dict[str, Any]) -> None:
        """Install or upgrade to a job file."""
        path = self.scratch / "job.yaml"
        path.write_text(yaml.safe_dump(content), "utf-8")
        self("upgrade", "--install", NAME, CHART, "--values", path)

    def objects(self, kind: str = "Job", *, version: str | None = None) -> dict[str, Object]:
        """Give this job's objects of a kind by their names."""
        find = self.namespace.cluster.find
        found = find(kind, namespace=self.namespace.name, version=version, labels=f"ocrfleet.io/name={NAME}")
        return {each["metadata"]["name"]: each for each in found}


def run_of(name: str) -> str:
    """Give the run's id out of an object's name."""
    return name.rpartition("-")[0]


def running(name: str, nodes: int) -> Callable[[list[Object]], dict[str, Object] | None]:
    """Give a test for so many running pods of a Job; it gives them by rank."""

    def all_of_them(pods: list[Object]) -> dict[str, Object] | None:
        found = {
            pod["metadata"]["labels"]["batch.kubernetes.io/job-completion-index"]: pod
            for pod in pods
            if pod["metadata"]["labels"].get("batch.kubernetes.io/job-name") == name
            and pod["status"].get("phase") == "Running"
            and "deletionTimestamp" not in pod["metadata"]
        }
        return found if len(found) == nodes else None

    return all_of_them


def done(found: Object) -> Object | None:
    """Give a Job or JobSet that has come to its end, good or bad."""
    over = ("Complete", "Completed", "Failed")
    return found if "True" in (condition(found, word) for word in over) else None
