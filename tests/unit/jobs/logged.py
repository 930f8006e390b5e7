"""Fixtures: runs that have said something, to pods or to a bucket."""

from pathlib import Path

import pytest

from jobs.engines import job as engine
from jobs.kube.fields import name_of
from tests.objects import Object
from tests.unit.jobs.apiserver import ApiServer
from tests.unit.jobs.runs.test_find import held
from tests.unit.jobs.states.read import recorded
from trainer.storage import open_store

RUN = "lines-1a2b3c4d"


@pytest.fixture
def running(api: ApiServer) -> tuple[Object, list[Object]]:
    """A run of two nodes, each of which has said something; its object and its pods."""
    workload = held(api, "job-running")
    pods = recorded("job-running")["pods"]
    for pod in pods:
        pod["status"]["phase"] = "Running"
        api.put({"apiVersion": "v1", "kind": "Pod", **pod}, namespace="ml")
        api.write(name_of(pod), "one", "two")
    return workload, sorted(pods, key=lambda pod: str(pod["metadata"]["labels"][engine.RANK_LABEL]))


@pytest.fixture
def output(tmp_path: Path) -> str:
    """A bucket with the logs of two attempts of two nodes with two workers."""
    store = open_store(f"file://{tmp_path}/out")
    for attempt in (1, 2):
        for node in (0, 1):
            store.put(f"checkpoints/{RUN}/logs/{attempt}/node-{node}.log", f"{attempt} of node {node}\nlast\n".encode())
        for rank in range(4):
            for stage in ("evaluate", "train"):
                text = f"{stage} {attempt} of rank {rank}\n"
                store.put(f"checkpoints/{RUN}/logs/{attempt}/{stage}-rank-{rank}.log", text.encode())
    store.put(f"checkpoints/{RUN}/logs/2/something-else", b"")
    store.put(f"checkpoints/{RUN}/logs/README", b"")
    return f"file://{tmp_path}/out"
