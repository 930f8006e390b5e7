"""The cluster comes up from any state, and leaves nothing behind. These tests run last: they end the cluster."""

import pytest

from tests.cluster.kube import Cluster
from tests.cluster.machine import lifetime
from tests.cluster.machine.layout import STATE
from tests.cluster.machine.node import first_process
from tests.cluster.machine.processes import end, name_of, ours
from tests.cluster.machine.traces import difference, traces

pytestmark = pytest.mark.usefixtures("hands")


def program(name: str) -> int:
    return next(pid for pid in ours() if name_of(pid) == name)


def test_up_leaves_a_cluster_alone_that_is_up(cluster: Cluster) -> None:
    before = cluster.get("Namespace", "kube-system")["metadata"]["uid"]
    lifetime.up()
    assert cluster.get("Namespace", "kube-system")["metadata"]["uid"] == before


@pytest.mark.parametrize("name", ["kube-apiserver", "etcd", "kube-scheduler", "node"])
def test_up_mends_a_cluster_that_has_lost_a_part(cluster: Cluster, name: str) -> None:
    assert cluster.local
    end(first_process(program("unshare")) if name == "node" else program(name))
    lifetime.up()
    assert lifetime.is_up()


def test_down_leaves_nothing_behind(cluster: Cluster) -> None:
    assert cluster.local
    lifetime.down()
    before = traces()
    lifetime.up()
    assert difference(before, traces()), "a cluster that can't be seen would prove nothing"
    lifetime.down()
    assert difference(before, traces()) == []
    assert not STATE.exists()


def test_down_is_fine_where_nothing_is_up() -> None:
    lifetime.down()
    assert lifetime.left() == []
