"""A line to the S3 server that breaks."""

import socket
import threading
from contextlib import suppress


class Proxy:
    """A TCP proxy that breaks connections after a number of bytes, a number of times."""

    def __init__(self, target: str) -> None:
        self.budget, self.cuts, self.passed = 1 << 62, 0, 0
        host, _, port = target.removeprefix("http://").partition(":")
        self._target = (host, int(port))
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.endpoint = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        with suppress(OSError):  # a second time is fine
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, socket.create_connection(self._target) as server:
            up = threading.Thread(target=self._copy, args=(client, server, False), daemon=True)
            up.start()
            self._copy(server, client, True)
            up.join()

    def _copy(self, source: socket.socket, sink: socket.socket, down: bool) -> None:
        count = 0
        with suppress(OSError):
            while block := source.recv(1 << 16):
                count += len(block)
                sink.sendall(block)
                if down:
                    self.passed += len(block)
                    if self.cuts and count > self.budget:
                        self.cuts -= 1
                        break
        for each in (source, sink):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
