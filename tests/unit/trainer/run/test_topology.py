"""The shape of a gang, as one of its nodes sees it."""

import pytest

from trainer import contract
from trainer.errors import SpecError
from trainer.run.topology import Topology

TWO_NODES = Topology(node_rank=1, nodes=2, devices_per_node=2, hosts=("node-0", "node-1"), port=29400)


def test_ranks_go_by_node_then_device():
    assert [TWO_NODES.rank(0), TWO_NODES.rank(1)] == [2, 3]
    assert TWO_NODES.world_size == 4
    assert not TWO_NODES.leader


def test_the_first_node_is_the_master():
    assert TWO_NODES.master == "node-0:29401"


def test_workers_on_one_host_have_ports_of_their_own():
    same = Topology(nodes=2, devices_per_node=2, hosts=("127.0.0.1", "127.0.0.1"), port=1000)
    assert len(set(same.endpoints)) == 4
    assert same.master not in same.endpoints


def test_the_topology_is_read_from_the_contracts_names():
    environ = {
        contract.ENV_NODE_RANK: "1",
        contract.ENV_NODES: "2",
        contract.ENV_DEVICES: "2",
        contract.ENV_HOSTS: "node-0,node-1",
        contract.ENV_PORT: "29400",
    }
    assert Topology.from_environment(environ) == TWO_NODES


@pytest.mark.parametrize(
    "environ",
    [{contract.ENV_NODES: "two"}, {contract.ENV_NODES: "2", contract.ENV_HOSTS: "only-one"}],
    ids=["not a number", "too few hosts"],
)
def test_a_wrong_environment_is_refused_by_name(environ):
    with pytest.raises(SpecError, match="OCRFLEET_"):
        Topology.from_environment(environ)


def test_two_attempts_share_no_port_and_use_no_more_than_the_gang_has():
    shape = {"nodes": 3, "devices_per_node": 2, "hosts": ("a", "b", "c"), "port": 1000}
    used = [
        {at.master.rpartition(":")[2], *(e.rpartition(":")[2] for e in at.endpoints)}
        for at in (Topology(attempt=n, **shape) for n in (1, 2, 3))
    ]
    assert not used[0] & used[1]
    assert used[0] == used[2]
    assert {*map(int, used[0] | used[1]), 1000} == set(range(1000, 1000 + contract.ports(6)))


def test_hosts_may_be_one_name_with_the_rank_in_it():
    environ = {contract.ENV_NODES: "3", contract.ENV_HOSTS: "receipts-1a2b-*.receipts"}
    hosts = Topology.from_environment(environ).hosts
    assert hosts == ("receipts-1a2b-0.receipts", "receipts-1a2b-1.receipts", "receipts-1a2b-2.receipts")
