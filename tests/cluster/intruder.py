"""What a pod that is no node of a run tries at the run's leader, until it is killed: `python intruder.py ADDRESS PORT`.

It prints a line each time that everything was tried. Only the standard library: it runs in a pod, from its text.
"""

import base64
import contextlib
import json
import socket
import sys

IDLE = 200
"""Connections that are opened and say nothing."""

_TOKEN = base64.b64encode(b"x" * 32).decode()
SAID = (
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    b"GET / HTTP/1.1\r\nHost: leader\r\n\r\n",
    b"x" * (1 << 20),
    b'{"say": "ready"}\n',
    b'{"say": "hello", "node": 1, "run": "lines"}\n{"say": "ready"}\n',
    json.dumps({"say": "hello", "node": 1, "nonce": _TOKEN, "proof": _TOKEN}).encode()
    + b'\n{"say": "failed", "attempt": 1, "code": 44, "why": "It lies."}\n',
)
"""Other protocols, too much, a message out of place, the protocol before nodes had keys, and a forged proof."""


def attack(leader: tuple[str, int]) -> None:
    """Send each of these over a connection of its own while many other connections stay idle."""
    with contextlib.ExitStack() as held:
        for _ in range(IDLE):
            with contextlib.suppress(OSError):
                held.enter_context(socket.create_connection(leader, timeout=30))
        for said in SAID:
            with contextlib.suppress(OSError), socket.create_connection(leader, timeout=30) as connection:
                connection.recv(1 << 10)
                connection.sendall(said)
                while connection.recv(1 << 10):
                    pass


if __name__ == "__main__":
    while True:
        attack((sys.argv[1], int(sys.argv[2])))
        print("Tried everything.", flush=True)
