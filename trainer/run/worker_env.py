"""The environment that makes a worker a member of the gang: Paddle's contract, and nothing secret.

The workers' collective engine is Paddle's; its launcher is not used (house rule 7). Rendezvous of the
nodes over several attempts belongs here too, once nodes come and go.
"""

import os
from collections.abc import Mapping
from typing import Final

from trainer import contract
from trainer.run.topology import Topology
from trainer.system.cpu import mathematics

# A worker transfers nothing itself, so it gets nothing that opens a bucket or a cluster.
_SECRET_WORDS: Final = ("SECRET", "TOKEN", "PASSWORD", "PASSWD", "CREDENTIAL", "ACCESS_KEY", "API_KEY", "PRIVATE")
_SECRET_PREFIXES: Final = ("AWS_", "GOOGLE_", "AZURE_", "KUBE")


def without_secrets(environ: Mapping[str, str]) -> dict[str, str]:
    """Give the environment without what may open a bucket or a cluster."""
    return {
        name: value
        for name, value in environ.items()
        if not name.upper().startswith(_SECRET_PREFIXES) and not any(w in name.upper() for w in _SECRET_WORDS)
    }


def solo(topology: Topology) -> Topology:
    """Give the topology of a stage that the leader does alone, on one device."""
    return Topology(device=topology.device, port=topology.port)


def worker_environment(
    topology: Topology, local_rank: int, *, environ: Mapping[str, str] = os.environ
) -> dict[str, str]:
    """Give the whole environment of one worker.

    Args:
        topology: the gang, as this node sees it.
        local_rank: which of this node's devices, from 0.
        environ: the node's own environment.
    """
    rank = topology.rank(local_rank)
    environment = {
        **mathematics(),
        **without_secrets(environ),
        contract.ENV_DEVICE: topology.device,
        "PYTHONUNBUFFERED": "1",
        "PADDLE_TRAINER_ID": str(rank),
        "PADDLE_TRAINERS_NUM": str(topology.world_size),
        "PADDLE_TRAINER_ENDPOINTS": ",".join(topology.endpoints),
        "PADDLE_CURRENT_ENDPOINT": topology.endpoints[rank],
        "PADDLE_MASTER": topology.master,
        "PADDLE_LOCAL_SIZE": str(topology.devices_per_node),
        "PADDLE_LOCAL_RANK": str(local_rank),
    }
    if topology.device == "cpu":
        environment["PADDLE_DISTRI_BACKEND"] = "gloo"
    else:
        environment["FLAGS_selected_gpus"] = str(local_rank)
    return environment
