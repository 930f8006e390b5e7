"""Prometheus finds the pods that say that they have figures, and forgets them when they go."""

import pytest

from tests.cluster.kube import Cluster, Namespace, Object
from tests.cluster.machine import monitoring
from tests.cluster.machine.monitoring import Series
from tests.cluster.machine.separate import PROMETHEUS
from tests.cluster.manifests import container, pod
from tests.cluster.reach import address

pytestmark = pytest.mark.builds(PROMETHEUS)

REQUESTS = 3


@pytest.fixture
def prometheus(cluster: Cluster) -> None:
    """Prometheus, which reads from this cluster's pods."""
    if not cluster.local:
        pytest.skip("this cluster lacks Prometheus: ours reads from pods at their own addresses, by its nodes' routes")
    monitoring.run_prometheus()


def serves(name: str, image: str, *, port: str) -> Object:
    """Give a pod that counts requests; `port` is what it calls its port."""
    whole = pod(name, image)
    ports = [{"name": port, "containerPort": 8080}]
    whole["spec"]["containers"] = [container(image, "serve", "8080", ports=ports)]
    return whole


@pytest.mark.usefixtures("prometheus")
def test_a_pod_with_a_port_named_metrics_is_read_until_it_is_gone(namespace: Namespace, tiny: str) -> None:
    for each in (serves("counts", tiny, port="metrics"), serves("hides", tiny, port="web"), pod("asks", tiny)):
        namespace.apply(each)
    url = f"http://{address(namespace, 'counts')}:8080"
    address(namespace, "asks")
    for _ in range(REQUESTS):
        assert namespace.execute("asks", "/tiny", "get", url) == "counts\n"
    everything = f'tiny_requests_total{{namespace="{namespace.name}"}}'

    def has_counted(found: list[Series]) -> bool:
        return {each["metric"]["pod"]: float(each["value"][1]) for each in found} == {"counts": REQUESTS}

    monitoring.wait_for(everything, has_counted, deadline=30)
    namespace.delete("Pod", "counts", grace=0)
    monitoring.wait_for(everything, lambda found: not found, deadline=30)
    earlier = f"max_over_time({everything}[5m])"
    assert has_counted(monitoring.query(earlier))
