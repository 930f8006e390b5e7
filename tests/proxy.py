"""A line to the S3 server that is slow, fails, or breaks when it is told to."""

import socket
import threading
import time
from contextlib import suppress

_BUSY = b"<Error><Code>SlowDown</Code><Message>Reduce your request rate.</Message></Error>"


class Proxy:
    """A TCP proxy that does its clients harm; each kind of it can be set and unset at any time."""

    def __init__(self, target: str, *, host: str = "127.0.0.1") -> None:
        """Start.

        Args:
            target: URL of the server.
            host: address to listen on.
        """
        self.budget, self.cuts = 1 << 62, 0
        """The next `cuts` connections break after `budget` bytes of answer."""
        self.rate: float | None = None
        """Bytes of answer a second, over each connection; None: as fast as it goes."""
        self.failures = 0
        """So many of the next connections get 503 SlowDown, as from a server under load."""
        self.passed = 0
        """Bytes of answers so far."""
        self._open, self._lock = set[socket.socket](), threading.Lock()
        self._whole = True
        name, _, port = target.removeprefix("http://").partition(":")
        self._target = (name, int(port))
        self._listener = socket.create_server((host, 0))
        self.endpoint = f"http://{host}:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """End it; a second time is fine."""
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def cut(self) -> None:
        """Break all connections, and each new one, until `mend`."""
        with self._lock:
            self._whole, found = False, list(self._open)
        for each in found:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def mend(self) -> None:
        """Let connections through again."""
        with self._lock:
            self._whole = True

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client:
            with self._lock:
                if not self._whole:
                    return
                busy, self.failures = self.failures > 0, max(0, self.failures - 1)
                self._open.add(client)
            with suppress(OSError):
                if busy:
                    self._refuse(client)
                else:
                    self._pass(client)
            with self._lock:
                self._open.discard(client)

    def _refuse(self, client: socket.socket) -> None:
        client.recv(1 << 16)
        head = f"HTTP/1.1 503 Slow Down\r\nContent-Length: {len(_BUSY)}\r\nConnection: close\r\n\r\n"
        client.sendall(head.encode() + _BUSY)
        client.shutdown(socket.SHUT_WR)
        while client.recv(1 << 16):  # or the client sees a reset in place of the answer
            pass

    def _pass(self, client: socket.socket) -> None:
        with socket.create_connection(self._target) as server:
            up = threading.Thread(target=self._copy, args=(client, server, False), daemon=True)
            up.start()
            self._copy(server, client, True)
            up.join()

    def _copy(self, source: socket.socket, sink: socket.socket, down: bool) -> None:
        count = 0
        with suppress(OSError):
            while block := source.recv(1 << 16):
                count += len(block)
                if down and self.rate:
                    time.sleep(len(block) / self.rate)
                sink.sendall(block)
                if down:
                    self.passed += len(block)
                    if self.cuts and count > self.budget:
                        self.cuts -= 1
                        break
        for each in (source, sink):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
