"""The shape of a gang, and what its workers are told."""

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
        # Each for one reason alone.
        *("AWS_PROFILE", "GOOGLE_CLOUD_PROJECT", "AZURE_STORAGE_ACCOUNT", "KUBECONFIG"),
        *("MY_SECRET", "GITHUB_TOKEN", "DB_PASSWORD", "DB_PASSWD", "A_CREDENTIAL", "AN_ACCESS_KEY_ID", "PRIVATE_PEM"),
        *("my_api_key", "aws_profile", "azure_client"),
    ],
)
def test_no_secret_is_handed_to_a_worker(name):
    assert worker_env.without_secrets({name: "canary", "LANG": "C", "MY_AWS": "no prefix"}) == {
        "LANG": "C",
        "MY_AWS": "no prefix",
    }


def test_a_worker_has_one_thread_whatever_cores_there_are():
    assert worker_env.worker_environment(Topology(), 0, environ={})["OMP_NUM_THREADS"] == "1"


def test_the_users_own_thread_count_is_kept():
    assert worker_env.worker_environment(Topology(), 0, environ={"OMP_NUM_THREADS": "7"})["OMP_NUM_THREADS"] == "7"


def test_a_stage_of_the_leader_is_a_gang_of_one_on_the_same_device():
    alone = worker_env.solo(Topology(node_rank=0, nodes=2, devices_per_node=2, hosts=("a", "b"), device="gpu", port=7))
    assert alone == Topology(device="gpu", port=7)
    assert alone.world_size == 1
