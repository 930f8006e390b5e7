"""A NetworkPolicy opens and closes what it says, on one node and across nodes."""

import pytest

from examples.local_s3 import Server
from tests.cluster.kube import Cluster, Namespace, Object
from tests.cluster.machine.separate import FIREWALL
from tests.cluster.manifests import container, on, pod
from tests.cluster.reach import address, assert_closed, assert_open, need_policies, policy

pytestmark = pytest.mark.builds(FIREWALL)

DNS: Object = {
    "to": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}}}],
    "ports": [{"protocol": "UDP", "port": 53}, {"protocol": "TCP", "port": 53}],
}


@pytest.fixture
def walled(cluster: Cluster, namespace: Namespace, tiny: str) -> Namespace:
    """A namespace whose policies count; `serves` runs on one node, `near` beside it, `far` on the other."""
    need_policies(cluster, namespace, tiny)
    first, second = sorted(node["metadata"]["name"] for node in cluster.find("Node"))[:2]
    namespace.apply(pod("serves", tiny, "serve", "8080", labels={"app": "serves", "run": "one"}, **on(first)))
    namespace.apply(pod("near", tiny, labels={"app": "near"}, **on(first)))
    namespace.apply(pod("far", tiny, labels={"app": "far", "run": "one"}, **on(second)))
    for name in ("near", "far"):
        address(namespace, name)
    return namespace


@pytest.fixture
def url(walled: Namespace) -> str:
    """Where `serves` answers."""
    return f"http://{address(walled, 'serves')}:8080"


def test_default_deny_closes_a_pod_to_its_own_node_and_to_the_other(walled: Namespace, url: str) -> None:
    for name in ("near", "far"):
        assert_open(walled, name, url)
    walled.apply(policy("deny", {}, ingress=[]))
    for name in ("near", "far"):
        assert_closed(walled, name, url)
    walled.delete("NetworkPolicy", "deny")
    for name in ("near", "far"):
        assert_open(walled, name, url)


def test_a_rule_opens_a_denied_pod_to_pods_of_a_label_only(walled: Namespace, url: str) -> None:
    walled.apply(policy("deny", {}, ingress=[]))
    assert_closed(walled, "far", url)
    walled.apply(
        policy("allow", {"app": "serves"}, ingress=[{"from": [{"podSelector": {"matchLabels": {"app": "far"}}}]}])
    )
    assert_open(walled, "far", url)
    assert_closed(walled, "near", url)


def test_a_pod_may_ask_for_names_and_nothing_else(walled: Namespace, url: str) -> None:
    ask = ("/tiny", "resolve", "kubernetes.default.svc.cluster.local.")
    walled.apply(policy("out", {"app": "far"}, egress=[]))
    assert_closed(walled, "far", url)
    assert walled.execute("far", *ask, "0").startswith("tiny: lookup")
    walled.apply(policy("out", {"app": "far"}, egress=[DNS]))
    assert not walled.execute("far", *ask, "30").startswith("tiny:")
    assert_closed(walled, "far", url)


def test_a_block_of_addresses_opens_and_closes_s3_outside(walled: Namespace, s3_outside: Server) -> None:
    host, _, port = s3_outside.endpoint.removeprefix("http://").partition(":")

    def let_out(block: Object) -> None:
        rule = {"to": [{"ipBlock": block}], "ports": [{"port": int(port)}]}
        walled.apply(policy("out", {"app": "near"}, egress=[rule]))

    assert_open(walled, "near", s3_outside.endpoint)
    let_out({"cidr": "0.0.0.0/0", "except": [f"{host}/32"]})
    assert_closed(walled, "near", s3_outside.endpoint)
    let_out({"cidr": f"{host}/32"})
    assert_open(walled, "near", s3_outside.endpoint)


def test_pods_of_one_run_reach_one_another_on_a_range_of_ports(walled: Namespace, tiny: str, url: str) -> None:
    both = pod("also", tiny, labels={"run": "one"})
    both["spec"]["containers"] = [
        container(tiny, "serve", port, name=f"port-{port}") for port in ("8080", "8100", "8101")
    ]
    walled.apply(both)
    also = f"http://{address(walled, 'also')}"
    assert_open(walled, "far", f"{also}:8101")
    peers = {"from": [{"podSelector": {"matchLabels": {"run": "one"}}}], "ports": [{"port": 8080, "endPort": 8100}]}
    walled.apply(policy("gang", {"run": "one"}, ingress=[peers]))
    assert_closed(walled, "far", f"{also}:8101")
    assert_closed(walled, "near", f"{also}:8080")
    for port in (8080, 8100):
        assert_open(walled, "far", f"{also}:{port}")
    assert_open(walled, "far", url)
    assert_closed(walled, "near", url)
