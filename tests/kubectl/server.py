"""A fake API server over real HTTP and TLS: it keeps what arrives, lists nothing, and misbehaves when told to."""

import base64
import contextlib
import json
import re
import socket
import ssl
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import StreamRequestHandler, TCPServer
from typing import Any, Final

from tests.kubectl import certificates


@dataclass(frozen=True)
class Hop:
    """The way through a proxy."""

    proxy: str
    tls: bool
    """Whether the client spoke TLS to the proxy itself."""

    login: str | None
    """`Proxy-Authorization`, decoded."""

    method: str
    """CONNECT, or that of a request which the proxy could read."""

    host: str
    """The server's name, as the proxy was asked for it."""

    sees: str | None
    """The server's credentials, where the proxy could read them."""


@dataclass(frozen=True)
class Arrival:
    """What a server learns of its client."""

    server: str
    prefix: str
    """Of the path, before `/api`."""

    sni: str | None
    certificate: str | None
    authorization: str | None
    """`Basic` is decoded."""

    acts_as: tuple[tuple[str, str], ...]
    """`Impersonate-*` headers, by their names; the values of one in their order."""

    hop: Hop | None


@dataclass(frozen=True)
class Request:
    """A request, and when it came."""

    arrival: Arrival
    method: str
    path: str
    nth: int
    """How many have come for this path; this is the first, the second, …"""

    on_connection: int
    """How many have come over this connection."""

    at: float


@dataclass(frozen=True)
class Answer:
    """An answer other than the usual one."""

    status: int = 200
    body: str = ""
    content: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)
    closes: bool = False
    """Close the connection afterwards, without having said so."""

    drops: bool = False
    """Close the connection instead of an answer."""


def status(code: int, reason: str, message: str, **headers: str) -> Answer:
    """Return a failure as Kubernetes words it."""
    body = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "reason": reason}
    named = {key.replace("_", "-"): value for key, value in headers.items()}
    return Answer(code, json.dumps({**body, "message": message}), headers=named)


Answers = Callable[[Request, Any], Answer | None]
"""From a request and the world of its case: what to answer in place of the usual, else None."""

_APIS: Final[Mapping[str, Any]] = {
    "/api": {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []},
    "/apis": {
        "kind": "APIGroupList",
        "apiVersion": "v1",
        "groups": [
            {
                "name": "batch",
                "versions": [{"groupVersion": "batch/v1", "version": "v1"}],
                "preferredVersion": {"groupVersion": "batch/v1", "version": "v1"},
            }
        ],
    },
    "/api/v1": {"kind": "APIResourceList", "groupVersion": "v1", "resources": []},
    "/apis/batch/v1": {
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": "batch/v1",
        "resources": [
            {"name": "jobs", "singularName": "job", "namespaced": True, "kind": "Job", "verbs": ["get", "list"]}
        ],
    },
}
"""What kubectl asks for before it lists Jobs."""

PREFIX: Final = "/k8s/clusters/c-1"
"""Where a server that stands before several has one of them."""

EMPTY: Final = {"kind": "JobList", "apiVersion": "batch/v1", "metadata": {"resourceVersion": "1"}, "items": []}

_LIST: Final = re.compile(r"/(?:api/v1|apis/batch/v1)(?:/namespaces/[^/]+)?/(?:jobs|pods|events)")


def usual(path: str) -> Answer:
    """Return what an API server without any object answers."""
    path = path.partition("?")[0]
    if found := _APIS.get(path):
        return Answer(body=json.dumps(found))
    if _LIST.fullmatch(path):
        return Answer(body=json.dumps(EMPTY))
    return status(404, "NotFound", "the server could not find the requested resource")


def two_pages(request: Request, _: Any) -> Answer | None:
    """Answer lists of Jobs in two pages, so that a program asks twice, one after the other."""
    if not _LIST.fullmatch(request.path.partition("?")[0]) or "continue=next" in request.path:
        return None
    return Answer(body=json.dumps({**EMPTY, "metadata": {"resourceVersion": "1", "continue": "next"}}))


class Routes:
    """By which proxies connections came, by their ports."""

    def __init__(self) -> None:
        self._hops: dict[int, Hop] = {}

    def note(self, port: int, hop: Hop) -> None:
        """Keep that the connection from this port is a proxy's."""
        self._hops[port] = hop

    def of(self, port: int) -> Hop | None:
        """Return the proxy that a connection came by."""
        return self._hops.get(port)


class Listener(ThreadingHTTPServer):
    """A server on loopback, with or without TLS, that takes each connection in a thread of its own."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, handler: type[StreamRequestHandler], *, tls: ssl.SSLContext | None, host: str) -> None:
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.tls = tls
        super().__init__((host, 0), handler)

    def server_bind(self) -> None:
        """Bind, without asking who this machine is."""
        TCPServer.server_bind(self)
        self.server_port = self.server_address[1]

    def finish_request(self, request: Any, client_address: Any) -> None:
        """Speak TLS first; a client that does not like the certificate is gone."""
        with contextlib.suppress(OSError):
            if self.tls:
                request.settimeout(30)
                request = self.tls.wrap_socket(request, server_side=True)
            try:
                super().finish_request(request, client_address)
            finally:
                if self.tls:
                    request.close()  # the socket below is detached

    def handle_error(self, *_: Any) -> None:
        """Write no traceback when a client disconnects."""


@contextmanager
def listening(listener: Listener) -> Iterator[int]:
    """Serve; give the port."""
    threading.Thread(target=listener.serve_forever, args=(0.01,), daemon=True).start()
    try:
        yield int(listener.server_port)
    finally:
        listener.shutdown()
        listener.server_close()


def tls_of(pair: certificates.Pair) -> ssl.SSLContext:
    """Return a server's TLS: it asks for users' certificates, and notes the name that it is asked for."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    load(made, pair)
    certificates.authority("usual").configure_trust(made)
    made.verify_mode = ssl.CERT_OPTIONAL
    made.sni_callback = lambda connection, name, _: setattr(connection, "asked_for", name)
    return made


def load(tls: ssl.SSLContext, pair: certificates.Pair) -> None:
    """Let connections from now on see this certificate."""
    with tempfile.NamedTemporaryFile() as file:
        file.write(pair.certificate + pair.key)
        file.flush()
        tls.load_cert_chain(file.name)


class ApiServer:
    """What its servers were asked."""

    def __init__(self, answer: Callable[[Request], Answer | None], routes: Routes) -> None:
        self.answer, self.routes = answer, routes
        self.requests: list[Request] = []
        self._lock = threading.Lock()
        self._paths = Counter[str]()

    def listener(self, name: str, *, pair: certificates.Pair | None, host: str) -> Listener:
        """Make one of its servers."""
        handler = type("Handler", (_Handler,), {"api": self, "name": name})
        return Listener(handler, tls=tls_of(pair) if pair else None, host=host)

    def take(self, arrival: Arrival, method: str, path: str, on_connection: int) -> Answer:
        """Keep a request; return its answer."""
        path = path.removeprefix(arrival.prefix)
        with self._lock:
            self._paths[path] += 1
            request = Request(arrival, method, path, self._paths[path], on_connection, time.monotonic())
            self.requests.append(request)
        return self.answer(request) or usual(path)


class _Handler(BaseHTTPRequestHandler):
    api: ApiServer
    name: str
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    requests = 0

    def log_message(self, *_: Any) -> None:
        """Write no access log."""

    def do_GET(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.requests += 1
        answer = self.api.take(self._arrival(), self.command, self.path, self.requests)
        if answer.drops:
            self.close_connection = True
            return
        data = answer.body.encode()
        self.send_response(answer.status)
        for name, value in {"Content-Type": answer.content, **answer.headers}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)
        self.close_connection |= answer.closes

    do_POST = do_GET

    def _arrival(self) -> Arrival:
        tls = isinstance(self.connection, ssl.SSLSocket)
        subject = (self.connection.getpeercert() or {}).get("subject", ()) if tls else ()
        names = {key: value for part in subject for key, value in part}
        headers = [(key.lower(), decoded(value)) for key, value in self.headers.items()]
        return Arrival(
            server=self.name,
            prefix=PREFIX if self.path.startswith(PREFIX) else "",
            sni=getattr(self.connection, "asked_for", None),
            certificate=names.get("commonName"),
            authorization=decoded(self.headers.get("Authorization")),
            acts_as=tuple(sorted((pair for pair in headers if pair[0].startswith("impersonate-")), key=lambda x: x[0])),
            hop=self.api.routes.of(self.client_address[1]),
        )


def decoded(header: str | None) -> str | None:
    """Return a header with credentials, those of `Basic` as text."""
    if header and header.startswith("Basic "):
        return "Basic " + base64.b64decode(header.removeprefix("Basic ")).decode("utf-8", errors="replace")
    return header.encode("latin-1").decode("utf-8", errors="replace") if header else None
