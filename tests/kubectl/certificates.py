"""Certificates of the fake servers, of their users, and what a kubeconfig says of them."""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Final, TypeVar

import trustme
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

_NAMES: Final = ("localhost", "127.0.0.1", "::1", "0.0.0.0", "api.test", "*.team.test")
_LOCK: Final = threading.RLock()


_Made = TypeVar("_Made")


def _once(make: Callable[[str], _Made]) -> Callable[[str], _Made]:
    """Make each only once, though two programs run at a time."""
    made = cache(make)

    def get(name: str) -> _Made:
        with _LOCK:
            return made(name)

    return get


@dataclass(frozen=True)
class Pair:
    """A certificate with its chain, and its key, as PEM."""

    certificate: bytes
    key: bytes


@_once
def authority(name: str) -> trustme.CA:
    """Return an authority: `usual`, `other`, or `intermediate`, which the usual one has signed."""
    return authority("usual").create_child_ca() if name == "intermediate" else trustme.CA()


@_once
def server(kind: str) -> Pair:
    """Return the certificate of a server: `usual`, `other` and `intermediate` are named for who has signed them."""
    ends = datetime.now(UTC) - timedelta(hours=1) if kind == "expired" else None
    names = ("elsewhere.test",) if kind == "misnamed" else _NAMES
    leaf = authority(kind if kind in ("other", "intermediate") else "usual").issue_cert(*names, not_after=ends)
    # The intermediate authority's own certificate is not sent: the kubeconfig has it.
    return Pair(leaf.cert_chain_pems[0].bytes(), leaf.private_key_pem.bytes())


@_once
def user(name: str) -> Pair:
    """Return the certificate of a user."""
    made = authority("usual").issue_cert(f"{name}@team.test", common_name=name)
    return Pair(made.cert_chain_pems[0].bytes(), made.private_key_pem.bytes())


def encrypted_key() -> bytes:
    """Return the user's key, locked with a passphrase."""
    key = load_pem_private_key(user("me").key, None)
    return key.private_bytes(
        Encoding.PEM, PrivateFormat.TraditionalOpenSSL, BestAvailableEncryption(b"s3cr3t-passphrase")
    )
