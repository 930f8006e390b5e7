"""One of the pods that add up numbers with Paddle: `python allreduce.py s3://bucket/folder/`.

As in a run, the node keeps the credentials and starts a worker without them; the worker knows paddle, the node S3.
What each rank found goes to `<rank>.json`, for a test outside to look at.
"""

import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import replace
from typing import Any, Final

from trainer.contract import ENV_NODE_RANK, ExitCode
from trainer.run.topology import Topology
from trainer.run.worker_env import worker_environment
from trainer.storage import open_store

COUNT: Final = 1_000_000
DEADLINE: Final = 120.0
"""Seconds until all are there and have added up."""


def node(output: str) -> ExitCode:
    """Meet the peers, have the worker add up, and write what came out."""
    begun = time.monotonic()
    topology = Topology.from_environment({**os.environ, ENV_NODE_RANK: os.environ["JOB_COMPLETION_INDEX"]})
    try:
        leader, *_ = [_address(host, until=begun + DEADLINE) for host in topology.hosts]
        found = _worker(replace(topology, leader_address=leader), until=begun + DEADLINE)
    except TimeoutError as error:
        print(f"error: {error}", file=sys.stderr)
        return ExitCode.TRANSIENT
    open_store(output).put(f"{topology.node_rank}.json", json.dumps(found).encode())
    print(f"rank {topology.node_rank} is done after {time.monotonic() - begun:.1f} s", flush=True)
    return ExitCode.DONE


def _address(host: str, *, until: float) -> str:
    """Give a peer's address: the cluster's DNS knows a pod a little after it has started, one server after another."""
    pause = threading.Event()
    while True:
        try:
            return str(socket.getaddrinfo(host, None, socket.AF_INET)[0][4][0])
        except socket.gaierror as error:
            if time.monotonic() > until:
                raise TimeoutError(f"{host} has no address: {error}") from error
        pause.wait(0.5)  # DNS tells nobody when a name appears


def _worker(topology: Topology, *, until: float) -> Any:
    try:
        done = subprocess.run(
            [sys.executable, __file__, "--worker"],
            env=worker_environment(topology, 0),
            stdout=subprocess.PIPE,
            timeout=max(0.0, until - time.monotonic()),
            check=True,
        )
    except subprocess.TimeoutExpired as error:
        raise TimeoutError(f"The ranks have not added up within {DEADLINE:.0f} s.") from error
    return json.loads(done.stdout.splitlines()[-1])


def worker() -> dict[str, Any]:
    """Add up with the other ranks, and look at what this container may do."""
    import numpy as np
    import paddle
    import paddle.distributed as dist

    from trainer.ppocr import collective

    rank, world = collective.join()
    numbers = np.arange(COUNT, dtype="float64") * (rank + 1)
    tensor = paddle.to_tensor(numbers)
    collective.meet()
    dist.all_reduce(tensor)
    found = {
        "rank": rank,
        "world": world,
        "sum": float(tensor.sum()),
        "mean": float(collective.mean(numbers).sum()),
        "hosts": collective.gather(socket.gethostname()),
        "uid": os.getuid(),
        "read_only": bool(os.statvfs("/").f_flag & os.ST_RDONLY),
        "writable": [
            folder for folder in (os.environ["HOME"], tempfile.gettempdir(), os.getcwd()) if _writable(folder)
        ],
        "secrets": sorted(name for name in os.environ if name.startswith("AWS_")),
    }
    collective.leave()
    return found


def _writable(folder: str) -> bool:
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            return file.write(b"here") > 0
    except OSError:
        return False


if __name__ == "__main__":
    if sys.argv[1] == "--worker":
        print(json.dumps(worker()), flush=True)
    else:
        code = node(sys.argv[1])
        # As the trainer ends: threads of the storage client must not meet an interpreter that is torn down.
        sys.stdout.flush()
        os._exit(code)
