"""Real proxies, HTTP and SOCKS: whatever name they are asked for, they go to that port of this machine."""

import select
import socket
import ssl
from http.server import BaseHTTPRequestHandler
from socketserver import StreamRequestHandler
from typing import Any
from urllib.parse import urlsplit

from tests.kubectl import certificates
from tests.kubectl.server import Hop, Listener, Routes, decoded, tls_of


def proxy(name: str, routes: Routes, *, pair: certificates.Pair | None = None) -> Listener:
    """Make a proxy."""
    handler = type("Handler", (_Handler,), {"name": name, "routes": routes})
    return Listener(handler, tls=tls_of(pair) if pair else None, host="127.0.0.1")


def socks(name: str, routes: Routes) -> Listener:
    """Make a proxy of SOCKS 5."""
    return Listener(type("Handler", (_Socks,), {"name": name, "routes": routes}), tls=None, host="127.0.0.1")


class _Handler(BaseHTTPRequestHandler):
    name: str
    routes: Routes
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: Any) -> None:
        """Write no access log."""

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
        hop = Hop(
            proxy=self.name,
            tls=isinstance(self.connection, ssl.SSLSocket),
            login=decoded(self.headers.get("Proxy-Authorization")),
            method=self.command,
            host=target.hostname,
            sees=decoded(self.headers.get("Authorization")),
        )
        return _connect(target.port, hop, self.routes)


class _Socks(StreamRequestHandler):
    """RFC 1928 and RFC 1929, as far as clients use them."""

    name: str
    routes: Routes

    def handle(self) -> None:
        methods = self._text(self.rfile.read(2)[1])
        login = self._login() if "\2" in methods else None
        if login is None:
            self.wfile.write(b"\5\0")
        _, _, _, kind = self.rfile.read(4)
        host = self._text(self._length()) if kind == 3 else socket.inet_ntoa(self.rfile.read(4))
        port = int.from_bytes(self.rfile.read(2), "big")
        hop = Hop(proxy=self.name, tls=False, login=login, method="SOCKS", host=host, sees=None)
        with _connect(port, hop, self.routes) as server:
            self.wfile.write(b"\5\0\0\1" + bytes(6))
            _relay(self.connection, server)

    def _login(self) -> str:
        self.wfile.write(b"\5\2")
        self.rfile.read(1)
        user, password = (self._text(self._length()) for _ in range(2))
        self.wfile.write(b"\1\0")
        return f"{user}:{password}"

    def _length(self) -> int:
        return self.rfile.read(1)[0]

    def _text(self, length: int) -> str:
        return self.rfile.read(length).decode("utf-8")


def _connect(port: int, hop: Hop, routes: Routes) -> socket.socket:
    server = socket.create_connection(("127.0.0.1", port))
    routes.note(server.getsockname()[1], hop)
    return server


def _relay(client: socket.socket, server: socket.socket) -> None:
    other = {client: server, server: client}
    while True:
        pending = isinstance(client, ssl.SSLSocket) and client.pending()
        for source in [client] if pending else select.select([client, server], [], [])[0]:
            if not (block := source.recv(1 << 16)):
                return
            other[source].sendall(block)
