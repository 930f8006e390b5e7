"""The ways to hurt the cluster hurt it, and it mends."""

import signal
import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest

from examples.local_s3 import Server
from tests.cluster import hurt
from tests.cluster.kube import Cluster, Namespace, Object, condition, ended, exit_code, ready
from tests.cluster.machine.layout import NODES
from tests.cluster.manifests import container, deployment, on, pod, pod_spec
from tests.proxy import Proxy

pytestmark = pytest.mark.usefixtures("hands")

FIRST, SECOND = NODES


@pytest.fixture
def whole(cluster: Cluster) -> Iterator[None]:
    """Both nodes are ready before the test and after it."""
    yield
    for node in NODES:
        cluster.wait("Node", node.name, healthy, deadline=90)


def healthy(node: Object) -> bool:
    return ready(node) and not node["spec"].get("taints") and condition(node, "DiskPressure") == "False"


def not_ready(node: Object) -> bool:
    return condition(node, "Ready") in ("Unknown", "False")


def running(namespace: Namespace, name: str) -> Object:
    return namespace.wait("Pod", name, lambda found: found if ready(found) else None)


def test_a_killed_process_ends_its_pod(namespace: Namespace, tiny: str) -> None:
    namespace.apply(pod("victim", tiny, "serve", "8080"))
    hurt.send(running(namespace, "victim"), signal.SIGKILL)
    found = namespace.wait("Pod", "victim", lambda seen: seen if ended(seen) else None)
    assert exit_code(found) == 137


def test_a_stopped_process_answers_nobody_and_goes_on(namespace: Namespace, tiny: str) -> None:
    namespace.apply(pod("victim", tiny, "serve", "8080"))
    found = running(namespace, "victim")
    url = f"http://{found['status']['podIP']}:8080"
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    assert opener.open(url, timeout=5).read() == b"victim\n"
    with hurt.stopped(found), pytest.raises(TimeoutError):
        opener.open(url, timeout=1)
    assert opener.open(url, timeout=5).read() == b"victim\n"


def test_a_deleted_pod_is_made_again(namespace: Namespace, tiny: str) -> None:
    namespace.apply(deployment("web", 2, pod_spec(container(tiny, "serve", "8080"))))
    before = namespace.wait_pods(lambda pods: pods if len(pods) == 2 and all(map(ready, pods)) else None)
    namespace.delete("Pod", before[0]["metadata"]["name"], grace=0)
    old = {each["metadata"]["uid"] for each in before}
    namespace.wait_pods(
        lambda pods: sum(ready(each) and each["metadata"]["uid"] not in old for each in pods) == 1, deadline=30
    )


@pytest.mark.usefixtures("whole")
def test_a_cut_link_is_noticed_and_mended(cluster: Cluster, namespace: Namespace, tiny: str) -> None:
    for node in NODES:
        namespace.apply(pod(f"on-{node.name}", tiny, "serve", "8080", **on(node.name)))
    far = running(namespace, f"on-{FIRST.name}")
    running(namespace, f"on-{SECOND.name}")
    url = f"http://{far['status']['podIP']}:8080"
    assert ask(namespace, "before", tiny, url) == 0
    with hurt.cut_off(FIRST):
        assert ask(namespace, "during", tiny, url) == 1
        cluster.wait("Node", FIRST.name, not_ready, deadline=60)
    cluster.wait("Node", FIRST.name, ready, deadline=60)
    assert ask(namespace, "after", tiny, url) == 0
    again = namespace.get("Pod", f"on-{FIRST.name}")
    assert again["metadata"]["uid"] == far["metadata"]["uid"], "the pod outlived it"


def ask(namespace: Namespace, name: str, tiny: str, url: str) -> int | None:
    """Ask a pod's server from a pod on the second node, for two seconds; give the exit code."""
    namespace.apply(pod(name, tiny, "get", url, "2", **on(SECOND.name)))
    return exit_code(namespace.wait("Pod", name, lambda found: found if ended(found) else None))


@pytest.mark.usefixtures("whole")
def test_a_node_without_its_kubelet_is_lost_and_its_pods_go_on(
    cluster: Cluster, namespace: Namespace, tiny: str
) -> None:
    namespace.apply(pod("goes-on", tiny, "serve", "8080", **on(FIRST.name)))
    found = running(namespace, "goes-on")
    with hurt.without("kubelet", FIRST):
        cluster.wait("Node", FIRST.name, not_ready, deadline=60)
        url = f"http://{found['status']['podIP']}:8080"
        assert ask(namespace, "asks", tiny, url) == 0
    cluster.wait("Node", FIRST.name, ready, deadline=60)
    assert namespace.wait("Pod", "goes-on", ready)


@pytest.mark.usefixtures("whole")
def test_a_drained_nodes_pods_move(cluster: Cluster, namespace: Namespace, tiny: str) -> None:
    template = pod_spec(container(tiny, "serve", "8080"))
    manifest = deployment("web", 1, template)
    manifest["spec"]["template"]["spec"].pop("topologySpreadConstraints")
    namespace.apply(manifest)
    before = namespace.wait_pods(lambda pods: next((each for each in pods if ready(each)), None))
    node = hurt.node_of(cluster, before)
    with hurt.drained(node):
        after = namespace.wait_pods(
            lambda pods: next((each for each in pods if ready(each) and each["spec"]["nodeName"] != node.name), None)
        )
    assert after["metadata"]["uid"] != before["metadata"]["uid"]


@pytest.mark.usefixtures("whole")
def test_a_full_disk_stops_writing_and_is_reported(cluster: Cluster, namespace: Namespace, tiny: str) -> None:
    disk = [{"name": "disk", "emptyDir": {}}]
    mounts = [{"name": "disk", "mountPath": "/disk"}]
    waits = pod("writes", tiny, volumes=disk, **on(FIRST.name))
    waits["spec"]["containers"] = [container(tiny, "serve", "8080", volumeMounts=mounts)]
    namespace.apply(waits)
    running(namespace, "writes")
    with hurt.full_disk(FIRST):
        assert "no space left" in namespace.execute("writes", "/tiny", "write", "/disk/file", "x" * 8192)
        cluster.wait("Node", FIRST.name, lambda found: condition(found, "DiskPressure") == "True", deadline=60)
    cluster.wait("Node", FIRST.name, lambda found: condition(found, "DiskPressure") == "False", deadline=60)


def test_a_line_to_s3_can_be_cut_be_slow_and_fail(
    namespace: Namespace, tiny: str, s3_outside: Server, proxy_outside: Proxy
) -> None:
    """The server refuses a request without a name, and says so in some 200 bytes."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def answer() -> int:
        try:
            return int(opener.open(proxy_outside.endpoint, timeout=10).status)
        except urllib.error.HTTPError as error:
            error.read()
            return error.code

    assert answer() == 403
    proxy_outside.failures = 1
    assert [answer(), answer()] == [503, 403]
    proxy_outside.cut()
    with pytest.raises((urllib.error.URLError, ConnectionError)):
        answer()
    namespace.apply(pod("cut", tiny, "get", proxy_outside.endpoint, "1"))
    assert exit_code(namespace.wait("Pod", "cut", lambda found: found if ended(found) else None)) == 1
    proxy_outside.mend()
    namespace.apply(pod("mended", tiny, "get", proxy_outside.endpoint))
    assert exit_code(namespace.wait("Pod", "mended", lambda found: found if ended(found) else None)) == 0
    assert "AccessDenied" in namespace.logs("mended")
    proxy_outside.rate = 100
    with pytest.raises(TimeoutError):
        opener.open(proxy_outside.endpoint, timeout=1)
