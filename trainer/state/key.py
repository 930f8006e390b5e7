"""The key of a run: a secret that only its nodes and the users of its bucket hold.

The leader creates it in the bucket, at `checkpoints/<run>/key`, before it listens for the other nodes, which read it
there. It authenticates the nodes to each other, and notes that a later attempt reads. It is never written to a log, an
environment, an error or a worker: `RunKey` shows no part of it.
"""

import hmac
import secrets
from typing import TYPE_CHECKING, Final

from trainer.errors import ConflictError, SpecError

if TYPE_CHECKING:
    from trainer.storage import Store

KEY: Final = "key"
"""Its name below `checkpoints/<run>/`."""

BYTES: Final = 32


class RunKey:
    """Signs and verifies bytes with HMAC-SHA256. Signatures of one purpose are worthless for another."""

    __slots__ = ("_secret",)

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    def sign(self, purpose: str, data: bytes) -> bytes:
        """Return the signature of data, 32 bytes.

        Args:
            purpose: what it is for, without a NUL: `rendezvous`.
            data: what is signed.
        """
        return hmac.digest(self._secret, purpose.encode() + b"\0" + data, "sha256")

    def verify(self, purpose: str, data: bytes, signature: bytes) -> bool:
        """Return whether `sign` returned this signature, in a time that does not depend on the answer."""
        return hmac.compare_digest(self.sign(purpose, data), signature)

    def __repr__(self) -> str:
        return "RunKey(…)"

    def __reduce__(self) -> str:
        raise TypeError("The key of a run is not copied to another process.")


def create(store: "Store") -> RunKey:
    """Return the run's key, and create it if there is none. Only the leader does this.

    Args:
        store: at `<output>/checkpoints/<run>`.

    Raises:
        SpecError: the object is no key.
        OcrfleetError: the bucket refuses or is out of reach.
    """
    key = find(store)
    if key is None:
        secret = secrets.token_bytes(BYTES)
        try:
            store.create_secret(KEY, secret)
        except ConflictError:
            # Another object's leader was faster, or the first answer was lost: the bucket has the one that counts.
            return _key(store, store.get(KEY))
        key = RunKey(secret)
    return key


def find(store: "Store") -> RunKey | None:
    """Return the run's key, or None if no leader has created it yet.

    Args:
        store: at `<output>/checkpoints/<run>`.

    Raises:
        SpecError: the object is no key.
        OcrfleetError: the bucket refuses or is out of reach.
    """
    found = store.find(KEY)
    return None if found is None else _key(store, found[0])


def _key(store: "Store", secret: bytes) -> RunKey:
    if len(secret) != BYTES:
        raise SpecError(
            f"{store.uri}{KEY} has {len(secret)} bytes, but the key of a run has {BYTES}. "
            "Find out who wrote it, delete it, and start the run again."
        )
    return RunKey(secret)
