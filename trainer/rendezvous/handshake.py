"""How a node and its leader prove to each other that both hold the key of the run.

    leader → node     challenge: a nonce
    node   → leader   hello: its rank, a nonce of its own, and a signature
    leader → node     welcome: a signature

Each signature covers its role, the run, the rank and both nonces. So one that was recorded is worthless on another
connection, one rank's is worthless for another rank, and the leader's cannot be returned to it as a node's. The keys
that seal what follows are signatures of the same kind, which are never sent: a peer between the two that passes the
handshake on cannot speak afterwards.

What is said is not secret: messages are sealed, not encrypted.
"""

import hmac
import secrets
import time
from collections.abc import Callable
from typing import Final

from trainer.rendezvous.line import Line, RefusedError
from trainer.rendezvous.messages import CHALLENGE, HELLO, WELCOME, Challenge, Hello, Welcome, encode

HANDSHAKE: Final = 10.0
"""Seconds for it."""

Sign = Callable[[bytes], bytes]
"""Signs with the key of the run, for the rendezvous only."""


def admit(line: Line, sign: Sign, *, run_id: str, nodes: int) -> int:
    """Have a peer prove which node it is, and return its rank: the leader's side.

    Raises:
        RefusedError: it is not a node of this run.
    """
    until = time.monotonic() + HANDSHAKE
    nonce = secrets.token_bytes(32)
    line.say(Challenge(nonce=nonce))
    hello = line.expect(HELLO, until=until)
    signed = _Signed(sign, run_id=run_id, node=hello.node, nonces=(nonce, hello.nonce))
    if not hmac.compare_digest(signed("node"), hello.proof):
        raise RefusedError("it does not have the key of this run")
    if hello.node >= nodes:
        raise RefusedError(f"this run has {nodes} nodes, and it says that it is another one")
    line.say(Welcome(proof=signed("leader")))
    line.seal(sent=signed("leader speaks"), heard=signed("node speaks"))
    return hello.node


def introduce(line: Line, sign: Sign, *, run_id: str, node: int) -> None:
    """Prove to a peer which node this is, and have it prove that it is the leader: a node's side.

    Raises:
        RefusedError: it is not the leader of this run.
    """
    until = time.monotonic() + HANDSHAKE
    challenge = line.expect(CHALLENGE, until=until)
    nonce = secrets.token_bytes(32)
    signed = _Signed(sign, run_id=run_id, node=node, nonces=(challenge.nonce, nonce))
    line.say(Hello(node=node, nonce=nonce, proof=signed("node")))
    welcome = line.expect(WELCOME, until=until)
    if not hmac.compare_digest(signed("leader"), welcome.proof):
        raise RefusedError("it does not have the key of this run")
    line.seal(sent=signed("node speaks"), heard=signed("leader speaks"))


class _Signed:
    """The signatures of one handshake."""

    def __init__(self, sign: Sign, *, run_id: str, node: int, nonces: tuple[bytes, bytes]) -> None:
        self._sign, self._facts = sign, (run_id, node, *nonces)

    def __call__(self, role: str) -> bytes:
        return self._sign(encode((role, *self._facts)))
