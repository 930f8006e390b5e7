"""The environment that makes a worker a member of the gang: Paddle's contract, and nothing secret.

The workers' collective engine is Paddle's; its launcher is not used (house rule 7). Rendezvous of the
nodes over several attempts belongs here too, once nodes come and go.
"""

import os
from collections.abc import Mapping
from typing import Final

from trainer import contract
from trainer.run import credentials
from trainer.run.topology import Topology
from trainer.system.cpu import mathematics

_NAMES: Final = frozenset(
    {
        *("HOME", "LANG", "LANGUAGE", "LOGNAME", "PATH", "SHELL", "TEMP", "TERM", "TMP", "TMPDIR", "TZ", "USER"),
        *("CPATH", "LD_LIBRARY_PATH", "LD_PRELOAD", "LIBRARY_PATH", "MALLOC_ARENA_MAX", "VIRTUAL_ENV"),
        *("PADDLEOCR_HOME", "DISABLE_MODEL_SOURCE_CHECK", "PYTORCH_ALLOC_CONF"),
    }
)
_PREFIXES: Final = (
    *("COLUMNS", "LC_", "LINES", "MPL", "OCRFLEET_", "PYTHON", "XDG_"),
    # Paddle, its libraries, and those of devices and networks.
    *("CUBLAS_", "CUDA_", "CUDNN_", "FLAGS_", "GLOG_", "GLOO_", "IB_", "KMP_", "MKL_", "NCCL_", "NUMEXPR_", "NVIDIA_"),
    *("OMP_", "ONEDNN_", "OPENBLAS_", "OPENCV_", "PADDLE_", "UCX_", "VECLIB_"),
)
_OFFLINE: Final = {"NO_ALBUMENTATIONS_UPDATE": "1"}
"""PaddleOCR's augmentation imports albumentations, which looks for a newer version on the network when imported."""

_SECRET_WORDS: Final = ("SECRET", "TOKEN", "PASSWORD", "PASSWD", "CREDENTIAL", "_KEY", "AUTH", "PRIVATE")


def without_secrets(environ: Mapping[str, str]) -> dict[str, str]:
    """Return what a process needs of an environment that computes, and transfers nothing: a list of what is allowed.

    Nobody can list all names under which users keep keys, and URLs with passwords in them.
    """
    return {
        name: value
        for name, value in environ.items()
        if (name in _NAMES or name.startswith(_PREFIXES)) and not any(word in name.upper() for word in _SECRET_WORDS)
    }


def confined(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of a process that `trainer.system.confined` keeps from credentials."""
    unreadable = os.pathsep.join(map(str, credentials.paths(environ)))
    return {**without_secrets(environ), **_OFFLINE, contract.ENV_UNREADABLE: unreadable}


def solo(topology: Topology) -> Topology:
    """Return the topology of a stage that the leader does alone, on one device."""
    return Topology(device=topology.device, port=topology.port)


def worker_environment(
    topology: Topology, local_rank: int, *, environ: Mapping[str, str] = os.environ
) -> dict[str, str]:
    """Return the whole environment of one worker.

    Args:
        topology: the gang, as this node sees it.
        local_rank: which of this node's devices, from 0.
        environ: the node's own environment.
    """
    rank = topology.rank(local_rank)
    environment = {
        **mathematics(),
        **confined(environ),
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
