"""How fast `ocrfleet list` is: against the API server's own answers with the same objects.

It makes a namespace on the cluster of the current kubeconfig, with runs that nobody works on: Jobs that the Job
controller is told to leave alone, and pods that no scheduler may place. Ours is a whole process, from its start to its
end. Its peer reads the same answers, page by page over one open connection, and does not even parse them: what is
timed is the server's work. Who goes first changes from pair to pair. The namespace is deleted at the end. It needs
Kubernetes 1.32, where a Job can name who manages it, and the right to make and delete namespaces.
"""

import argparse
import json
import os
import re
import secrets
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode

from benchmarks.submit import DEADLINE
from jobs import jobfile
from jobs.cluster import Cluster
from jobs.commands.options import positive
from jobs.engines import job as engine
from jobs.engines.reading import RUN_LABEL
from jobs.kinds import JOB, NAMESPACE, POD, Kind, kind_of
from jobs.render import render
from jobs.status import Object

FILE: Final = Path(__file__).parents[1] / "examples" / "receipts" / "rec.yaml"
"""The job file whose Job and pods are copied; its pods make no claim of a volume."""

PAGE: Final = 500
"""Objects of one answer, as `ocrfleet list` and kubectl ask for them."""

_AT_ONCE: Final = 8
"""Objects that are made beside one another."""

Pair = tuple[float, float]
"""Seconds of ours and of the server."""


def main() -> int:
    """Run it; give the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.listing", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=positive, default=1000, metavar="N", help="runs to list (default: 1000)")
    parser.add_argument("--nodes", type=positive, default=4, metavar="N", help="pods of each (default: 4)")
    parser.add_argument("--pairs", type=positive, default=7, metavar="N", help="lists a side (default: 7)")
    parser.add_argument("-o", "--output", choices=("table", "json"), default="table", help="(default: table)")
    arguments = parser.parse_args()
    with fleet(runs=arguments.runs, nodes=arguments.nodes) as cluster:
        pairs = run_pairs(cluster, runs=arguments.runs, nodes=arguments.nodes, pairs=arguments.pairs)
    facts = {"runs": arguments.runs, "pods": arguments.runs * arguments.nodes, **as_facts(pairs)}
    print(json.dumps({"load": os.getloadavg()[0], **facts}, indent=1) if arguments.output == "json" else as_line(facts))
    return 0


@contextmanager
def fleet(*, runs: int, nodes: int) -> Iterator[Cluster]:
    """Make runs in a namespace of their own, which is deleted afterwards."""
    cluster = Cluster(namespace=f"listing-{secrets.token_hex(3)}")
    cluster.create(NAMESPACE, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": cluster.namespace}})
    try:
        *others, job = render(jobfile.load(FILE))
        for each in others:
            if each["kind"] == "ServiceAccount":  # no pod is taken without
                cluster.apply(each)
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            for number in range(runs):
                made = copies(job, f"listing-{number:08x}", nodes=nodes)
                list(pool.map(lambda each: cluster.create(kind_of(each), each), made))
        yield cluster
    finally:
        cluster.delete(NAMESPACE, cluster.namespace)


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

    Raises:
        RuntimeError: one of them had not all of the objects.
    """
    answers = reader(cluster)
    sizes = [sum(len(json.loads(page)["items"]) for page in answers(kind)) for kind in (JOB, POD)]
    listed = json.loads(list_runs(cluster))
    pods = [sum(bool(node["pod"]) for node in each["nodes"]) for each in listed]
    if sizes != [runs, runs * nodes] or pods != [nodes] * runs:
        raise RuntimeError(f"Of {runs} runs with {nodes} pods each the server gave {sizes}, and ours {len(listed)}.")
    sides: tuple[Callable[[], object], ...] = (
        lambda: list_runs(cluster),
        lambda: [len(page) for kind in (JOB, POD) for page in answers(kind)],
    )
    found = []
    for number in range(pairs):
        seconds = {index: _timed(sides[index]) for index in ((0, 1) if number % 2 == 0 else (1, 0))}
        found.append((seconds[0], seconds[1]))
    return found


def _timed(side: Callable[[], object]) -> float:
    start = time.perf_counter()
    side()
    return time.perf_counter() - start


def list_runs(cluster: Cluster) -> bytes:
    """List them as a user does."""
    words = [str(Path(sys.executable).with_name("ocrfleet")), "list", "-n", cluster.namespace, "-o", "json"]
    return subprocess.run(words, stdout=subprocess.PIPE, timeout=DEADLINE, check=True).stdout


def reader(cluster: Cluster) -> Callable[[Kind], Iterator[bytes]]:
    """Give a function that reads the server's answers, as they are, over one connection."""
    from kubernetes import config

    client = config.new_client_from_config(context=cluster.context)
    headers = {"Accept": "application/json"}
    client.update_params_for_auth(headers, [], ["BearerToken"])

    def read(kind: Kind) -> Iterator[bytes]:
        query = {"labelSelector": RUN_LABEL, "limit": str(PAGE)}
        while True:
            address = f"{cluster.host}{kind.path(namespace=cluster.namespace)}?{urlencode(query)}"
            answer = client.rest_client.pool_manager.request("GET", address, headers=headers, timeout=DEADLINE)
            if answer.status != 200:
                raise RuntimeError(f"The API server answered {answer.status} to {address}.")
            yield answer.data
            # The head of a list says where the next page begins, before its items.
            rest = re.search(rb'"continue":\s*"([^"]+)"', answer.data[:_HEAD])
            if not rest:
                return
            query["continue"] = rest[1].decode()

    return read


_HEAD: Final = 2000
"""Bytes of an answer that hold the head of its list."""


def as_facts(pairs: list[Pair]) -> dict[str, Any]:
    """Give the median of each side, and the ratios' median, least and greatest."""
    ratios = [ours / theirs for ours, theirs in pairs]
    return {
        "ocrfleet": statistics.median(ours for ours, _ in pairs),
        "API server": statistics.median(theirs for _, theirs in pairs),
        "ratio": {"median": statistics.median(ratios), "least": min(ratios), "greatest": max(ratios)},
    }


def as_line(facts: dict[str, Any]) -> str:
    """Lay them out as a table in Markdown."""
    ratio = facts["ratio"]
    times = " | ".join(f"{facts[side] * 1e3:.0f} ms" for side in ("ocrfleet", "API server"))
    return (
        "| runs | pods | ocrfleet list | API server | ratio (least–greatest) |\n| --- | --- | --- | --- | --- |\n"
        f"| {facts['runs']} | {facts['pods']} | {times} | "
        f"{ratio['median']:.2f} ({ratio['least']:.2f}–{ratio['greatest']:.2f}) |"
    )


if __name__ == "__main__":
    sys.exit(main())
