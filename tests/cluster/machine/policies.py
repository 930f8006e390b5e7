"""NetworkPolicy enforced on the nodes by kube-router's firewall; the bridge plugin enforces none."""

from tests.cluster.machine import images
from tests.cluster.machine.layout import HERE, HOST, SERVICES
from tests.cluster.machine.lifetime import apply, kubectl
from tests.cluster.machine.separate import FIREWALL


def install() -> None:
    """Have each node enforce policies; where they do already, nothing changes.

    Raises:
        ClusterError: the program does not build, or does not come up.
    """
    image = images.of_program(FIREWALL.build())
    images.import_everywhere(image)
    manifests = (HERE / "policies.yaml").read_text("utf-8")
    for name, value in {"kube-router": image.name, "services": SERVICES, "host": HOST}.items():
        manifests = manifests.replace(f"$({name})", value)
    apply(manifests)
    kubectl("--namespace=kube-system", "rollout", "status", "daemonset/kube-router", "--timeout=60s")
