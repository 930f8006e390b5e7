"""One authority for the cluster, and what each of its programs shows of itself."""

from pathlib import Path
from typing import Final

import trustme
import yaml
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.cluster.machine.layout import API, API_SERVICE, HOST, KUBECONFIG, NODES, STATE

PKI: Final = STATE / "pki"
AUTHORITY: Final = PKI / "authority.pem"

_CLIENTS: Final = {
    "admin": ("admin", "system:masters"),
    "kube-apiserver": ("kube-apiserver", "system:masters"),
    "kube-controller-manager": ("system:kube-controller-manager", None),
    "kube-scheduler": ("system:kube-scheduler", None),
    "kube-proxy": ("system:kube-proxy", None),
    "front-proxy": ("front-proxy", None),
    **{node.name: (f"system:node:{node.name}", "system:nodes") for node in NODES},
}
"""File, then the user and group that RBAC knows it by."""

_SERVERS: Final = {
    "serving": (HOST, "127.0.0.1", API_SERVICE, "kubernetes", "kubernetes.default", "kubernetes.default.svc"),
    **{f"{node.name}-serving": (node.address, node.name) for node in NODES},
}


def issue() -> None:
    """Write certificates, keys and a kubeconfig for each client."""
    PKI.mkdir(parents=True, mode=0o700)
    authority = trustme.CA()
    authority.cert_pem.write_to_path(AUTHORITY)
    for name, (user, group) in _CLIENTS.items():
        # Go takes no certificate whose list of names is empty.
        _write(name, authority.issue_cert(f"{name}.invalid", common_name=user, organization_name=group))
        _write_kubeconfig(name)
    for name, addresses in _SERVERS.items():
        _write(name, authority.issue_cert(*addresses))
    accounts = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    key("accounts").write_bytes(
        accounts.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )


def certificate(name: str) -> Path:
    """Give where a certificate is."""
    return PKI / f"{name}.pem"


def key(name: str) -> Path:
    """Give where a certificate's key is."""
    return PKI / f"{name}.key"


def kubeconfig(name: str) -> Path:
    """Give where a client's kubeconfig is."""
    return KUBECONFIG if name == "admin" else PKI / f"{name}.kubeconfig"


def _write(name: str, made: trustme.LeafCert) -> None:
    certificate(name).write_bytes(b"".join(blob.bytes() for blob in made.cert_chain_pems))
    key(name).touch(mode=0o600)
    made.private_key_pem.write_to_path(key(name))


def _write_kubeconfig(name: str) -> None:
    user = {"client-certificate-data": certificate(name), "client-key-data": key(name)}
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {"name": "ocrfleet", "cluster": {"server": API, "certificate-authority-data": _base64(AUTHORITY)}}
        ],
        "users": [{"name": name, "user": {field: _base64(path) for field, path in user.items()}}],
        "contexts": [{"name": "ocrfleet", "context": {"cluster": "ocrfleet", "user": name}}],
        "current-context": "ocrfleet",
    }
    path = kubeconfig(name)
    path.touch(mode=0o600)
    path.write_text(yaml.safe_dump(content), "utf-8")


def _base64(path: Path) -> str:
    import base64

    return base64.b64encode(path.read_bytes()).decode()
