"""What tests of connections have in common: a server that mirrors what it is asked."""

import os
import ssl
from collections.abc import Iterator
from http.server import ThreadingHTTPServer
from pathlib import Path

import pytest
import trustme

from tests.unit.jobs.kube.mirror import Written, _Mirror, _serving, text_of


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def secure(authority: trustme.CA) -> Iterator[int]:
    """A server with a certificate for `localhost` and `api.test`, that looks at its users' own."""
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost", "api.test").configure_cert(tls)
    authority.configure_trust(tls)
    tls.verify_mode = ssl.CERT_OPTIONAL
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Mirror)
    server.socket = tls.wrap_socket(server.socket, server_side=True)
    yield from _serving(server)


@pytest.fixture(scope="module")
def plain() -> Iterator[int]:
    yield from _serving(ThreadingHTTPServer(("127.0.0.1", 0), _Mirror))


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [each for each in os.environ if each.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)


@pytest.fixture
def written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, plain: int) -> Written:
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "config"))
    made = Written(tmp_path / "config")
    made.cluster = {"server": f"http://localhost:{plain}/"}
    return made


@pytest.fixture
def secured(written: Written, secure: int, authority: trustme.CA) -> Written:
    written.cluster = {
        "server": f"https://localhost:{secure}",
        "certificate-authority-data": text_of(authority.cert_pem),
    }
    return written
