"""A server in front of an S3 server, which passes requests on: with TLS, or with rules that the S3 server lacks."""

import http.client
import ssl
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from urllib.parse import urlsplit

import trustme


class Front(BaseHTTPRequestHandler):
    """Passes each request on, with its signed headers as they are."""

    protocol_version = "HTTP/1.1"
    target: str
    """The endpoint of the S3 server."""

    def refuses(self) -> bool:
        """Whether this request is refused, and not passed on."""
        return False

    def answer(self) -> None:
        """Answer a request."""
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.refuses():
            self._send(403, [], b"<Error><Code>AccessDenied</Code></Error>")
            return
        with closing(http.client.HTTPConnection(urlsplit(self.target).netloc, timeout=60)) as connection:
            connection.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for name, value in self.headers.items():
                connection.putheader(name, value)
            connection.endheaders(body)
            found = connection.getresponse()
            self._send(found.status, found.getheaders(), found.read())

    do_DELETE = do_GET = do_HEAD = do_POST = do_PUT = answer

    def _send(self, status: int, headers: list[tuple[str, str]], content: bytes) -> None:
        ours = {"connection", "transfer-encoding"} | (set() if self.command == "HEAD" else {"content-length"})
        self.send_response_only(status)
        for name, value in headers:
            if name.lower() not in ours:
                self.send_header(name, value)
        if self.command != "HEAD":
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


@contextmanager
def serving(handler: type[Front], *, certificate: trustme.LeafCert | None = None) -> Iterator[str]:
    """Yield the endpoint of a front; with a certificate, it speaks TLS."""
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            certificate.configure_cert(context)
            server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"{'https' if certificate else 'http'}://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()
