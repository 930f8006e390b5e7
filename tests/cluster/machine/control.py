"""The control plane: etcd, API server, controller manager, scheduler; processes of this machine."""

import ssl
import urllib.error
import urllib.request
from pathlib import Path
from typing import Final

from tests.cluster.machine import certificates
from tests.cluster.machine.certificates import AUTHORITY, certificate, key, kubeconfig
from tests.cluster.machine.layout import API, HOST, PODS, SERVICES, STATE
from tests.cluster.machine.processes import start, wait_until

_ETCD: Final = "http://127.0.0.1:23790"
_ETCD_PEER: Final = "http://127.0.0.1:23800"


def start_control_plane(programs: Path) -> None:
    """Start all four, and return when the API server answers.

    Args:
        programs: the folder that they are in.

    Raises:
        ClusterError: one ended, or the API server was not ready in time.
    """
    start("etcd", [programs / "etcd", *_options(_etcd())])
    server = start("kube-apiserver", [programs / "kube-apiserver", *_options(_api_server())])
    wait_until("the API server is ready", _ready, process=server)
    others: dict[str, dict[str, str | Path]] = {"kube-controller-manager": _controllers(), "kube-scheduler": {}}
    for name, more in others.items():
        rights = ("kubeconfig", "authentication-kubeconfig", "authorization-kubeconfig")
        own: dict[str, str | Path] = dict.fromkeys(rights, kubeconfig(name))
        own |= {"leader-elect": "false", "bind-address": "127.0.0.1"}
        start(name, [programs / name, *_options(own | more)])


def _ready() -> bool:
    trusted = ssl.create_default_context(cafile=str(AUTHORITY))
    trusted.load_cert_chain(certificate("admin"), key("admin"))
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=trusted))
    try:
        with opener.open(f"{API}/readyz", timeout=2) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def _options(options: dict[str, str | Path]) -> list[str]:
    return [f"--{name}={value}" for name, value in options.items()]


def _etcd() -> dict[str, str | Path]:
    return {
        "data-dir": STATE / "etcd",
        "listen-client-urls": _ETCD,
        "advertise-client-urls": _ETCD,
        "listen-peer-urls": _ETCD_PEER,
        "initial-advertise-peer-urls": _ETCD_PEER,
        "initial-cluster": f"default={_ETCD_PEER}",
        # Its state is thrown away: no need to wait for the disk.
        "unsafe-no-fsync": "true",
    }


def _api_server() -> dict[str, str | Path]:
    return {
        "etcd-servers": _ETCD,
        "bind-address": HOST,
        "advertise-address": HOST,
        "service-cluster-ip-range": SERVICES,
        "allow-privileged": "true",
        "authorization-mode": "Node,RBAC",
        "enable-admission-plugins": "NodeRestriction",
        "client-ca-file": AUTHORITY,
        "tls-cert-file": certificate("serving"),
        "tls-private-key-file": key("serving"),
        "service-account-issuer": "https://kubernetes.default.svc.cluster.local",
        "service-account-key-file": certificates.key("accounts"),
        "service-account-signing-key-file": certificates.key("accounts"),
        "kubelet-certificate-authority": AUTHORITY,
        "kubelet-client-certificate": certificate("kube-apiserver"),
        "kubelet-client-key": key("kube-apiserver"),
        "kubelet-preferred-address-types": "InternalIP",
        "proxy-client-cert-file": certificate("front-proxy"),
        "proxy-client-key-file": key("front-proxy"),
        "requestheader-client-ca-file": AUTHORITY,
        "requestheader-allowed-names": "front-proxy",
        "requestheader-username-headers": "X-Remote-User",
        "requestheader-group-headers": "X-Remote-Group",
        "requestheader-extra-headers-prefix": "X-Remote-Extra-",
        # This machine has routes to the pods, but no kube-proxy: webhooks are called at a pod's own address.
        "enable-aggregator-routing": "true",
    }


def _controllers() -> dict[str, str | Path]:
    return {
        "cluster-cidr": PODS,
        "service-cluster-ip-range": SERVICES,
        "allocate-node-cidrs": "false",
        "root-ca-file": AUTHORITY,
        "service-account-private-key-file": certificates.key("accounts"),
        "use-service-account-credentials": "true",
        # A lost node is noticed in a fifth of the usual time; the kubelets speak as much more often.
        "node-monitor-period": "2s",
        "node-monitor-grace-period": "12s",
    }
