"""Certificates of the fake servers, of their users, and what a kubeconfig says of them."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Final

import trustme
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

_NAMES: Final = ("localhost", "127.0.0.1", "::1", "0.0.0.0", "api.test", "*.team.test")


@dataclass(frozen=True)
class Pair:
    """A certificate with its chain, and its key, as PEM."""

    certificate: bytes
    key: bytes


@cache
def authority(name: str = "") -> trustme.CA:
    """Return an authority; `intermediate` is signed by the usual one."""
    return authority().create_child_ca() if name == "intermediate" else trustme.CA()


@cache
def server(kind: str = "") -> Pair:
    """Return the certificate of a server: `other` is another authority's, `intermediate` the intermediate one's."""
    ends = datetime.now(UTC) - timedelta(hours=1) if kind == "expired" else None
    names = ("elsewhere.test",) if kind == "misnamed" else _NAMES
    issuer = authority(kind if kind in ("other", "intermediate") else "")
    leaf = issuer.issue_cert(*names, not_after=ends)
    # The intermediate authority's own certificate is not sent: the kubeconfig has it.
    return Pair(leaf.cert_chain_pems[0].bytes(), leaf.private_key_pem.bytes())


@cache
def user(name: str = "me") -> Pair:
    """Return the certificate of a user."""
    made = authority().issue_cert(f"{name}@team.test", common_name=name)
    return Pair(made.cert_chain_pems[0].bytes(), made.private_key_pem.bytes())


@cache
def encrypted_key() -> bytes:
    """Return the user's key, locked with a passphrase."""
    key = load_pem_private_key(user().key, None)
    return key.private_bytes(
        Encoding.PEM, PrivateFormat.TraditionalOpenSSL, BestAvailableEncryption(b"s3cr3t-passphrase")
    )
