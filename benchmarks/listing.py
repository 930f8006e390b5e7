"""Runs by the thousand on a cluster, and two who read them: `ocrfleet list`, and one that takes answers as they are.

The runs are Jobs that the Job controller is told to leave alone, which takes Kubernetes 1.32, and pods that no
scheduler may place. Ours is a whole process, from its start to its end. Its peer reads the same answers, page by page
over one open connection, and does not even parse them: what is timed is the server's work.
"""

import json
import re
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Final
from urllib.parse import urlencode

from benchmarks import namespaces
from benchmarks.pairs import DEADLINE, Pair, in_turn, ran
from jobs.engines import job as engine
from jobs.jobfile import text
from jobs.kube.client import Cluster
from jobs.kube.connection import connect
from jobs.kube.fields import RUN_LABEL
from jobs.kube.kinds import JOB, POD, Kind, kind_of
from jobs.kube.kubeconfig import Target
from jobs.kube.objects import Object
from jobs.rendering.render import render

FILE: Final = Path(__file__).parents[1] / "examples" / "receipts" / "rec.yaml"
"""The job file whose Job and pods are copied; its pods make no claim of a volume."""

PAGE: Final = 500
"""Objects of one answer, as `ocrfleet list` and kubectl ask for them."""

_AT_ONCE: Final = 8
"""Objects that are made beside one another."""


@contextmanager
def fleet(*, runs: int, nodes: int) -> Iterator[Cluster]:
    """Make runs in a namespace of their own, which is deleted afterwards."""
    with namespaces.own("listing") as cluster:
        rendered = render(text.read(FILE))
        for each in rendered.objects:
            if each["kind"] == "ServiceAccount":  # no pod is taken without
                cluster.apply(each)
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            for number in range(runs):
                made = copies(rendered.workload, f"listing-{number:08x}", nodes=nodes)
                list(pool.map(lambda each: cluster.create(kind_of(each), each), made))
        yield cluster


def copies(job: Object, run: str, *, nodes: int) -> list[Object]:
    """Give a run's Job and its pods, of which controllers and schedulers keep their hands."""
    name = f"{run}-0000"
    template = job["spec"]["template"]
    size = {"completions": nodes, "parallelism": nodes, "managedBy": "ocrfleet.io/benchmark"}
    labels = {RUN_LABEL: run}
    key, _, value = engine.pod_selector(name).partition("=")
    return [
        {
            **job,
            "metadata": {**job["metadata"], "name": name, "labels": job["metadata"]["labels"] | labels},
            "spec": {**job["spec"], **size},
        },
        *(
            {
                "apiVersion": POD.version,
                "kind": POD.kind,
                "metadata": {
                    **template["metadata"],
                    "name": f"{name}-{rank}",
                    "labels": template["metadata"]["labels"] | labels | {key: value, engine.RANK_LABEL: str(rank)},
                },
                "spec": {**template["spec"], "schedulingGates": [{"name": "ocrfleet.io/benchmark"}]},
            }
            for rank in range(nodes)
        ),
    ]


def run_pairs(cluster: Cluster, *, runs: int, nodes: int, pairs: int) -> list[Pair]:
    """Time lists of ours and the server's answers, in turn.

    Args:
        cluster: with the fleet.
        runs: of the fleet.
        nodes: pods of each.
        pairs: times a side.

    Raises:
        RuntimeError: one of them had not all of the objects.
    """
    answers = reader(cluster)
    sizes = [sum(len(json.loads(page)["items"]) for page in answers(kind)) for kind in (JOB, POD)]
    listed = json.loads(list_runs(cluster))
    pods = [sum(bool(node["pod"]) for node in each["nodes"]) for each in listed]
    if sizes != [runs, runs * nodes] or pods != [nodes] * runs:
        raise RuntimeError(f"Of {runs} runs with {nodes} pods each the server gave {sizes}, and ours {len(listed)}.")
    return in_turn(
        lambda: list_runs(cluster),
        lambda: [len(page) for kind in (JOB, POD) for page in answers(kind)],
        pairs=pairs,
    )


def list_runs(cluster: Cluster) -> bytes:
    """List them as a user does."""
    return ran(Path(sys.executable).with_name("ocrfleet"), "list", "-n", cluster.namespace, "-o", "json")


def reader(cluster: Cluster) -> Callable[[Kind], Iterator[bytes]]:
    """Give a function that reads the server's answers, as they are, over one connection."""
    api = connect(Target(context=cluster.context)).api
    headers = {"Accept": "application/json"}
    api.update_params_for_auth(headers, [], ["BearerToken"], "", "GET", None)

    def read(kind: Kind) -> Iterator[bytes]:
        query = {"labelSelector": RUN_LABEL, "limit": str(PAGE)}
        while True:
            address = f"{cluster.host}{kind.path(namespace=cluster.namespace)}?{urlencode(query)}"
            answer = api.call_api("GET", address, headers, None, None, DEADLINE)
            data = answer.read()
            if answer.status != 200:
                raise RuntimeError(f"The API server answered {answer.status} to {address}.")
            yield data
            # The head of a list says where the next page begins, before its items.
            rest = re.search(rb'"continue":\s*"([^"]+)"', data[:_HEAD])
            if not rest:
                return
            query["continue"] = rest[1].decode()

    return read


_HEAD: Final = 2000
"""Bytes of an answer that hold the head of its list."""
