"""A real HTTP proxy, with TLS or without: whatever name it is asked for, it goes to that port of this machine."""

import select
import socket
import ssl
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import urlsplit

from tests.kubectl import certificates
from tests.kubectl.server import Hop, Listener, Routes, decoded, tls_of


def proxy(name: str, routes: Routes, *, pair: certificates.Pair | None = None) -> Listener:
    """Make a proxy."""
    handler = type("Handler", (_Handler,), {"name": name, "routes": routes})
    return Listener(handler, tls=tls_of(pair) if pair else None, host="127.0.0.1")


class _Handler(BaseHTTPRequestHandler):
    name: str
    routes: Routes
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: Any) -> None:
        """Say nothing."""

    def do_CONNECT(self) -> None:
        with self._connect(urlsplit(f"//{self.path}")) as server:
            self.send_response_only(200, "Connection established")
            self.end_headers()
            _relay(self.connection, server)
        self.close_connection = True

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        with self._connect(url) as server:
            kept = [f"{k}: {v}\r\n" for k, v in self.headers.items() if not k.lower().startswith(("proxy-", "connect"))]
            path = url.path + (f"?{url.query}" if url.query else "")
            head = f"{self.command} {path} HTTP/1.1\r\n{''.join(kept)}Connection: close\r\n\r\n"
            server.sendall(head.encode("latin-1"))
            while block := server.recv(1 << 16):
                self.wfile.write(block)
        self.close_connection = True

    def _connect(self, target: Any) -> socket.socket:
        server = socket.create_connection(("127.0.0.1", target.port))
        hop = Hop(
            proxy=self.name,
            tls=isinstance(self.connection, ssl.SSLSocket),
            login=decoded(self.headers.get("Proxy-Authorization")),
            method=self.command,
            host=target.hostname,
            sees=decoded(self.headers.get("Authorization")),
        )
        self.routes.note(server.getsockname()[1], hop)
        return server


def _relay(client: socket.socket, server: socket.socket) -> None:
    other = {client: server, server: client}
    while True:
        pending = isinstance(client, ssl.SSLSocket) and client.pending()
        for source in [client] if pending else select.select([client, server], [], [])[0]:
            if not (block := source.recv(1 << 16)):
                return
            other[source].sendall(block)
