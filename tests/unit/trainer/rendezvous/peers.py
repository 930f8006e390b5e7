"""Peers of a gang that say what a test wants, and the key with which they prove who they are."""

import hmac
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress

from trainer.rendezvous.handshake import Sign, admit, introduce
from trainer.rendezvous.line import Line

RUN = "receipts-00000001"


def signing(key: bytes) -> Sign:
    return lambda data: hmac.digest(key, data, "sha256")


SIGN = signing(bytes(range(32)))
OTHER = signing(bytes(32))
"""Of another run."""


def find() -> Sign:
    """Return what signs, as a node finds it in the bucket."""
    return SIGN


def connected(port: int) -> Line:
    return Line(socket.create_connection(("127.0.0.1", port), timeout=30))


def introduced(port: int, *, node: int = 1, run: str = RUN, sign: Sign = SIGN) -> Line:
    """Connect to a server as one of its nodes."""
    line = connected(port)
    with ExitStack() as failed:
        failed.callback(line.close)
        introduce(line, sign, run_id=run, node=node)
        failed.pop_all()
    return line


def admitted(listener: socket.socket, *, run: str = RUN, nodes: int = 2, sign: Sign = SIGN) -> tuple[Line, int]:
    """Accept a member as its leader, and return its connection and its rank."""
    line = Line(listener.accept()[0])
    with ExitStack() as failed:
        failed.callback(line.close)
        rank = admit(line, sign, run_id=run, nodes=nodes)
        failed.pop_all()
    return line, rank


def raw(line: Line, body: bytes) -> None:
    """Send what is no message of the protocol, with a good seal: the peer has the key, but a fault."""
    assert line._sealing
    with suppress(OSError):
        line.socket.sendall(line._sealing.next(body) + b" " + body + b"\n")


@contextmanager
def pair() -> Iterator[tuple[Line, socket.socket]]:
    """A line, and the raw other end of it."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        other = socket.create_connection(server.getsockname())
        connection, _ = server.accept()
    connection.settimeout(10)  # as after connecting with a deadline
    line = Line(connection)
    with other:
        other.settimeout(30)
        try:
            yield line, other
        finally:
            line.close()
