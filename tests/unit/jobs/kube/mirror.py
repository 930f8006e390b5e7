"""A server that tells whoever asks what it was asked, and a kubeconfig that names it."""

import base64
import json
import ssl
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import trustme
import yaml

from jobs.kube.client import Cluster
from jobs.kube.kinds import POD


class _Mirror(BaseHTTPRequestHandler):
    """Tells whoever asks what it was asked."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *_: Any) -> None:
        """Write no access log."""

    answered = 0
    """Requests of this connection."""

    def do_GET(self) -> None:
        if "/namespaces/cut/" in self.path and self.answered:
            self.close_connection = True
            return
        self.answered += 1
        if "/namespaces/html/" in self.path:
            self._send(b"<html>Log in</html>")
            return
        if self.headers["Authorization"] == "Bearer over":
            self.send_error(401)
            return
        shown = self.connection.getpeercert() if isinstance(self.connection, ssl.SSLSocket) else None
        names = {key: value for part in (shown or {}).get("subject", ()) for key, value in part}
        said = {key.title(): self.headers.get_all(key) for key in self.headers}
        body = json.dumps({"path": self.path, "headers": said, "shown": names.get("organizationalUnitName")}).encode()
        self._send(body)

    def _send(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def _serving(server: ThreadingHTTPServer) -> Iterator[int]:
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()


class Written:
    """A kubeconfig of one context `c`, and what its user reads through it."""

    def __init__(self, path: Path) -> None:
        self.path, self.cluster, self.user = path, dict[str, Any](), dict[str, Any]()

    def open(self) -> Cluster:
        self.path.write_text(yaml.safe_dump(config(cluster=self.cluster, user=self.user)), "utf-8")
        return Cluster(deadline=5)

    def seen(self) -> Any:
        return self.open().get(POD, "a")


def config(name: str = "c", *, cluster: Any = None, user: Any = None, **context: str) -> dict[str, Any]:
    return {
        "current-context": name,
        "contexts": [{"name": name, "context": {"cluster": name, "user": name, **context}}],
        "clusters": [{"name": name, "cluster": cluster or {"server": f"https://{name}"}}],
        "users": [{"name": name, "user": user or {}}],
    }


def text_of(pem: trustme.Blob) -> str:
    return base64.b64encode(pem.bytes()).decode()


def _authorization(cluster: Cluster) -> str | None:
    found = cluster.get(POD, "a")
    assert found
    said: dict[str, list[str]] = found["headers"]
    return said.get("Authorization", [None])[0]  # type: ignore[list-item]
