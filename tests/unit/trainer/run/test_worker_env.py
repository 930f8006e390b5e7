"""The shape of a gang, and what its workers are told."""

import os
import subprocess
import sys

import pytest

from trainer.run import worker_env
from trainer.run.topology import Topology

TWO_NODES = Topology(node_rank=1, nodes=2, devices_per_node=2, hosts=("node-0", "node-1"), port=29400)


def test_a_worker_knows_its_place():
    environment = worker_env.worker_environment(TWO_NODES, 1, environ={"PATH": "/bin"})
    assert environment["PADDLE_TRAINER_ID"] == "3"
    assert environment["PADDLE_TRAINERS_NUM"] == "4"
    assert environment["PADDLE_CURRENT_ENDPOINT"] == TWO_NODES.endpoints[3]
    assert environment["PADDLE_DISTRI_BACKEND"] == "gloo"
    assert environment["PATH"] == "/bin"


def test_a_gpu_worker_has_a_device_of_its_own():
    environment = worker_env.worker_environment(Topology(devices_per_node=2, device="gpu"), 1, environ={})
    assert environment["FLAGS_selected_gpus"] == "1"
    assert "PADDLE_DISTRI_BACKEND" not in environment


@pytest.mark.parametrize(
    "name",
    [
        *("AWS_PROFILE", "AWS_SECRET_ACCESS_KEY", "GOOGLE_CLOUD_PROJECT", "AZURE_STORAGE_ACCOUNT", "KUBECONFIG"),
        *("HTTPS_PROXY", "https_proxy", "DATABASE_URL", "WEBHOOK_URL", "S3_KEY", "SSH_AUTH_SOCK", "MY_OWN"),
        # In families that are handed on.
        *(
            "PADDLE_API_KEY",
            "NCCL_PRIVATE",
            "OCRFLEET_TOKEN",
            "PYTHON_SECRET",
            "CUDA_PASSWD",
            "FLAGS_password",
            "OCRFLEET_X_KEY",
            "NCCL_AUTH",
        ),
    ],
)
def test_what_may_be_a_secret_is_not_handed_to_a_worker(name):
    assert worker_env.without_secrets({name: "canary", "LANG": "C"}) == {"LANG": "C"}


@pytest.mark.parametrize(
    "name",
    [
        *("PATH", "LC_ALL", "PYTHONPATH", "LD_LIBRARY_PATH", "TMPDIR", "CUDA_VISIBLE_DEVICES", "NCCL_SOCKET_IFNAME"),
        *("FLAGS_use_mkldnn", "OMP_NUM_THREADS", "PADDLEOCR_HOME", "OCRFLEET_RUN_ID"),
    ],
)
def test_what_a_library_computes_by_is_handed_to_a_worker(name):
    assert worker_env.without_secrets({name: "x"}) == {name: "x"}


def test_a_worker_is_told_which_files_hold_credentials():
    environ = {"AWS_SHARED_CREDENTIALS_FILE": "/etc/keys/aws", "KUBECONFIG": "/k/one:/k/two"}
    told = worker_env.worker_environment(Topology(), 0, environ=environ)["OCRFLEET_UNREADABLE"].split(":")
    assert {"/etc/keys/aws", "/k/one", "/k/two", "/var/run/secrets", "/etc/ocrfleet-credentials"} <= set(told)


def test_a_worker_has_one_thread_whatever_cores_there_are():
    assert worker_env.worker_environment(Topology(), 0, environ={})["OMP_NUM_THREADS"] == "1"


def test_the_users_own_thread_count_is_kept():
    assert worker_env.worker_environment(Topology(), 0, environ={"OMP_NUM_THREADS": "7"})["OMP_NUM_THREADS"] == "7"


def test_a_stage_of_the_leader_is_a_gang_of_one_on_the_same_device():
    alone = worker_env.solo(Topology(node_rank=0, nodes=2, devices_per_node=2, hosts=("a", "b"), device="gpu", port=7))
    assert alone == Topology(device="gpu", port=7)
    assert alone.world_size == 1


ASKS = """
import urllib.request
urllib.request.OpenerDirector.open = lambda self, url, *_, **__: print("asked", url)
import albumentations
"""


def test_albumentations_asks_nobody_for_a_newer_version_in_a_worker():
    """It does so elsewhere: without the variable that it documents, the same program asks."""
    environment = worker_env.worker_environment(Topology(), 0, environ={**os.environ, "NO_ALBUMENTATIONS_UPDATE": "0"})

    def said(environ):
        return subprocess.run(
            [sys.executable, "-c", ASKS], env=environ, capture_output=True, text=True, check=True
        ).stdout

    assert said(environment) == ""
    del environment["NO_ALBUMENTATIONS_UPDATE"]
    assert said(environment).startswith("asked https://")
