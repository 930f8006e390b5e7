"""Answers that no API server gives: each becomes a sentence, and none hangs a call."""

import json
import math
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from jobs.kube.client import Cluster
from jobs.kube.informer import Collection, Following
from jobs.kube.kinds import POD
from tests.unit.jobs.kube.mirror import Written, _serving
from trainer.errors import OcrfleetError, SpecError, TransientError


class _Garbage(BaseHTTPRequestHandler):
    """Sends what the test has set."""

    protocol_version = "HTTP/1.1"
    status, body = 200, b""
    headers_sent: tuple[tuple[str, str], ...] = ()

    def log_message(self, *_: Any) -> None:
        """Write no access log."""

    def do_GET(self) -> None:
        self.send_response(self.status)
        for key, value in self.headers_sent:
            self.send_header(key, value)
        if not any(key == "Transfer-Encoding" for key, _ in self.headers_sent):
            self.send_header("Content-Length", str(len(self.body)))
        self.end_headers()
        self.wfile.write(self.body)
        self.close_connection = True

    do_POST = do_GET


Answering = Callable[..., Cluster]


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    yield from _serving(ThreadingHTTPServer(("127.0.0.1", 0), _Garbage))


@pytest.fixture
def answering(written: Written, port: int, monkeypatch: pytest.MonkeyPatch) -> Answering:
    """A cluster whose server gives one answer to everything."""

    def answer(body: Any, status: int = 200, deadline: float = 5, **headers: str) -> Cluster:
        monkeypatch.setattr(_Garbage, "status", status)
        monkeypatch.setattr(_Garbage, "body", body if isinstance(body, bytes) else json.dumps(body).encode())
        sent = tuple((key.replace("_", "-"), value) for key, value in headers.items())
        monkeypatch.setattr(_Garbage, "headers_sent", sent)
        written.cluster = {"server": f"http://localhost:{port}"}
        written.open()
        return Cluster(deadline=deadline)

    return answer


_DEEP = b"[" * 100_000


@pytest.mark.parametrize(
    "body",
    [
        _DEEP,
        {"items": "x", "metadata": {"resourceVersion": "1"}},
        {"items": [1], "metadata": {"resourceVersion": "1"}},
        {"items": [], "metadata": []},
        {"items": [], "metadata": {"continue": "the same"}},
        {"items": [], "metadata": {"continue": 5}},
    ],
)
def test_a_list_of_another_form_is_said(answering: Answering, body: Any) -> None:
    with pytest.raises(SpecError, match="does not answer as a Kubernetes API server does"):
        answering(body).find(POD)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 410, 429, 500])
@pytest.mark.parametrize("body", [_DEEP, {"details": "x"}, {"details": {"name": 1}}, {"message": []}, [1], b"\xff"])
def test_a_refusal_of_another_form_is_said(answering: Answering, status: int, body: Any) -> None:
    with pytest.raises(OcrfleetError):
        answering(body, status).find(POD)


@pytest.mark.parametrize("status", [{"code": "x"}, {"code": None}, {"code": 404, "details": "x"}, {}])
def test_a_watch_may_end_with_any_error(answering: Answering, status: Any) -> None:
    with pytest.raises(OcrfleetError):
        list(answering({"type": "ERROR", "object": status}).watch(POD, since="1"))


@pytest.mark.parametrize(
    ("body", "status", "headers"),
    [
        (b"-5\r\nabc", 200, {"Transfer_Encoding": "chunked"}),
        (b"", 302, {"Location": "http://["}),
    ],
)
def test_logs_that_are_not_http_are_said(
    answering: Answering, body: bytes, status: int, headers: dict[str, str]
) -> None:
    with pytest.raises(OcrfleetError):
        list(answering(body, status, **headers).logs("a"))


@pytest.mark.parametrize("item", [{}, {"metadata": {}}, {"metadata": {"uid": 1, "resourceVersion": []}}])
def test_objects_without_a_uid_do_not_end_the_following(answering: Answering, item: Any) -> None:
    cluster = answering({"items": [item], "metadata": {"resourceVersion": "1"}, "type": "ADDED", "object": item})
    with Following(cluster, {"pods": Collection(kind=POD)}) as following:
        assert following.wait(10)
        assert following.now("pods")


def test_a_fault_while_following_reaches_the_one_who_waits(answering: Answering) -> None:
    broken: Any = None
    with (
        Following(answering({}), {"pods": Collection(kind=broken)}) as following,
        pytest.raises(AttributeError),
    ):
        following.wait(10)


def test_a_deadline_may_be_longer_than_sockets_can_wait(answering: Answering) -> None:
    for deadline in (1e10, math.inf):
        assert answering({"kind": "Pod"}, deadline=deadline).get(POD, "a")
        with pytest.raises(OcrfleetError, match="answered 200"):
            answering({}, deadline=deadline).execute("a", ["true"])
        with pytest.raises(TransientError, match="cannot answer"):
            answering({}, 429, deadline=deadline, Retry_After="9" * 30).get(POD, "a")
