"""What two supervisors say to one another: JSON objects, a line each, over one connection."""

import contextlib
import json
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

_ALIVE: Final = {
    socket.TCP_KEEPIDLE: 10,
    socket.TCP_KEEPINTVL: 5,
    socket.TCP_KEEPCNT: 4,
    # Milliseconds; for a peer that has not even taken what was said last.
    socket.TCP_USER_TIMEOUT: 30_000,
}
"""A node that is cut off says nothing: it is given up after 30 s of silence of its kernel."""

_LONGEST: Final = 1 << 16
"""Bytes of a message; a longer one is not of this protocol."""

Message = dict[str, Any]


@dataclass(frozen=True, eq=False)
class Line:
    """One connection, and what is said over it."""

    socket: socket.socket

    def __post_init__(self) -> None:
        self.socket.settimeout(None)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, True)
        for option, value in _ALIVE.items():
            self.socket.setsockopt(socket.IPPROTO_TCP, option, value)

    def say(self, **message: Any) -> None:
        """Say something; `say` is what."""
        with contextlib.suppress(OSError):  # whoever is gone is heard of by listening
            self.socket.sendall(json.dumps(message).encode() + b"\n")

    def hear(self) -> Iterator[Message]:
        """Give what is said, until the connection ends or what comes is not of this protocol."""
        with contextlib.suppress(OSError, ValueError), self.socket.makefile("rb") as stream:
            while line := stream.readline(_LONGEST):
                message = json.loads(line)
                if not isinstance(message, dict) or "say" not in message:
                    return
                yield message

    def close(self) -> None:
        """End the connection; a second time is fine."""
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()
