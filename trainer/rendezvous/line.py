"""One connection between two supervisors: typed messages as JSON, a line each.

Once both ends know each other (`handshake`), every line is sealed: it begins with an HMAC of its content and its
number, under a key of this connection and direction. So nobody between the two can insert, change, repeat or reorder
messages, only end the connection.
"""

import contextlib
import hmac
import socket
import threading
import time
from collections.abc import Iterator
from typing import Final, TypeVar

import msgspec

from trainer.rendezvous.messages import Message, encode

_ALIVE: Final = {
    socket.TCP_KEEPIDLE: 10,
    socket.TCP_KEEPINTVL: 5,
    socket.TCP_KEEPCNT: 4,
    # Milliseconds; for a peer that has not even taken what was said last.
    socket.TCP_USER_TIMEOUT: 30_000,
}
"""A node that is cut off says nothing: it is given up after 30 s of silence of its kernel."""

LONGEST: Final = 1 << 16
"""Bytes of a sealed message; a longer one is not of this protocol."""

STRANGERS_LONGEST: Final = 1 << 10
"""The same, before the peer has proved who it is."""

M = TypeVar("M", bound=Message)


class RefusedError(Exception):
    """The peer broke the protocol, or could not prove who it is. Its message contains no text of a stranger."""


class Line:
    """One connection, and what is said over it. One thread hears and closes; others may say and hang up."""

    def __init__(self, connection: socket.socket) -> None:
        """Take over a connection.

        Raises:
            OSError: it is already broken.
        """
        self.socket = connection
        self._lock = threading.Lock()
        self._buffer = bytearray()
        self._longest = STRANGERS_LONGEST
        self._sealing: _Seal | None = None
        self._breaking: _Seal | None = None
        connection.settimeout(None)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, True)
        for option, value in _ALIVE.items():
            connection.setsockopt(socket.IPPROTO_TCP, option, value)

    def seal(self, *, sent: bytes, heard: bytes) -> None:
        """Seal all further messages, and expect seals on those of the peer.

        Args:
            sent: the key for what this end says.
            heard: the key for what the other end says.
        """
        self._sealing, self._breaking, self._longest = _Seal(sent), _Seal(heard), LONGEST

    def say(self, message: Message) -> None:
        """Send a message. A peer that is gone is noticed by hearing, not here."""
        body = encode(message)
        with self._lock, contextlib.suppress(OSError):
            if self._sealing:
                body = self._sealing.next(body) + b" " + body
            self.socket.sendall(body + b"\n")

    def hear(self, kinds: msgspec.json.Decoder[M]) -> Iterator[M]:
        """Yield messages until the connection ends.

        Raises:
            RefusedError: the peer said something that is not one of these messages.
        """
        with contextlib.suppress(OSError):
            while (line := self._read(None)) is not None:
                yield self._decode(line, kinds)

    def expect(self, kind: msgspec.json.Decoder[M], *, until: float) -> M:
        """Return the next message, of a handshake.

        Args:
            kind: which one it must be.
            until: the time (time.monotonic) by which it must be complete.

        Raises:
            RefusedError: something else came, or nothing in time.
        """
        try:
            line = self._read(until)
            self.socket.settimeout(None)
        except TimeoutError:
            raise RefusedError("it did not say who it is in time") from None
        except OSError:
            line = None
        if line is None:
            raise RefusedError("the connection was closed before both ends knew each other")
        return self._decode(line, kind)

    def hang_up(self) -> None:
        """End the connection for both ends; the thread that hears closes it. A second call does nothing."""
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)

    def say_no_more(self) -> None:
        """Send no more, and go on receiving.

        Its last message would otherwise arrive at a closed connection, and the kernel's answer to that can overtake
        what was said before.
        """
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        """End the connection and free it; a second time is fine."""
        self.hang_up()
        # The number of a closed socket is soon that of another one: nobody may be about to write to it.
        with self._lock:
            self.socket.close()

    def _read(self, until: float | None) -> bytes | None:
        """Return the next line, or None at the end of the connection."""
        while (end := self._buffer.find(b"\n")) < 0:
            if len(self._buffer) > self._longest:
                break
            if until is not None:
                self.socket.settimeout(max(0.001, until - time.monotonic()))
                if time.monotonic() >= until:
                    raise TimeoutError
            chunk = self.socket.recv(self._longest)
            if not chunk:
                return None
            self._buffer += chunk
        if end < 0 or end > self._longest:
            raise RefusedError(f"a message is longer than {self._longest} bytes")
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 1]
        return line

    def _decode(self, line: bytes, kinds: msgspec.json.Decoder[M]) -> M:
        if self._breaking:
            seal, _, line = line.partition(b" ")
            if not hmac.compare_digest(seal, self._breaking.next(line)):
                raise RefusedError("a message does not have the seal of this connection")
        try:
            return kinds.decode(line)
        # msgspec refuses what it cannot decode with the first two, and what is nested too deeply with the third.
        except (msgspec.MsgspecError, ValueError, RecursionError):
            raise RefusedError("a message is not of this protocol") from None


class _Seal:
    """Makes the seals of one direction."""

    def __init__(self, key: bytes) -> None:
        self._key, self._number = key, 0

    def next(self, body: bytes) -> bytes:
        """Return the seal of the next message."""
        number = self._number.to_bytes(8)
        self._number += 1
        return hmac.digest(self._key, number + body, "sha256").hex().encode()
