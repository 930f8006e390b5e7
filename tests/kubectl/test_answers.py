"""Answers out of the ordinary: what is asked again, how soon, and what is an error."""

from pathlib import Path
from typing import Any

import pytest

from tests.kubectl.differences import REDIRECT
from tests.kubectl.server import Answer, Answers, Request, status, two_pages
from tests.kubectl.world import CLUSTER, Case, judge

HTML = Answer(body="<html><body>Log in to go on</body></html>", content="text/html")


def lists(answer: Answer, *, count: int = 1 << 30) -> Answers:
    """Answer this to the first requests for each list; kubectl finds out before what there is."""
    return lambda request, _: answer if "/namespaces/" in request.path and request.nth <= count else None


def busy(code: int, seconds: str) -> Answer:
    return status(code, "TooManyRequests" if code == 429 else "ServiceUnavailable", "busy", Retry_After=seconds)


def closes_each(request: Request, names: Any) -> Answer | None:
    """End each connection after one answer, without having said so."""
    answer = two_pages(request, names)
    return Answer(body=answer.body, closes=True) if answer else None


def drops_second(request: Request, names: Any) -> Answer | None:
    """End a connection on which a second request comes, as a load balancer does that was about to."""
    return Answer(drops=True) if request.on_connection > 1 else two_pages(request, names)


def redirects(code: int, url: str) -> Answers:
    """Send requests for the first server to another."""

    def answer(request: Request, names: Any) -> Answer | None:
        if request.arrival.server != "api":
            return None
        return Answer(code, headers={"Location": names.fill(url) + request.path})

    return answer


CASES = [
    Case(id="lists in pages", answers=two_pages),
    Case(id="HTML with 200", answers=lambda *_: HTML, works=False),
    Case(id="HTML with 200 for lists", answers=lists(HTML), works=False),
    Case(id="JSON of something else for lists", answers=lists(Answer(body="[1]")), works=False),
    Case(id="nothing with 200 for lists", answers=lists(Answer(body="")), works=False),
    Case(id="JSON that breaks off", answers=lists(Answer(body='{"kind": "JobList", "ite')), works=False),
    Case(
        id="a list without items",
        answers=lists(Answer(body='{"kind":"JobList","apiVersion":"batch/v1","metadata":{"resourceVersion":"1"}}')),
    ),
    Case(id="401", answers=lists(status(401, "Unauthorized", "Unauthorized")), works=False),
    Case(id="401 in HTML", answers=lists(Answer(401, HTML.body, "text/html")), works=False),
    Case(id="403", answers=lists(status(403, "Forbidden", "jobs.batch is forbidden")), works=False),
    Case(id="403 in HTML", answers=lists(Answer(403, HTML.body, "text/html")), works=False),
    Case(id="500", answers=lists(status(500, "InternalError", "etcd is away")), works=False),
    Case(id="502 of a load balancer", answers=lists(Answer(502, HTML.body, "text/html")), works=False),
    Case(id="504 of a load balancer", answers=lists(Answer(504, "", "text/plain")), works=False),
    Case(id="418", answers=lists(Answer(418, "", "text/plain")), works=False),
    Case(id="204", answers=lists(Answer(204, "", "text/plain")), works=False),
    Case(id="429 without a time", answers=lists(status(429, "TooManyRequests", "busy")), works=False),
    Case(id="429 with a second", answers=lists(busy(429, "1"), count=1)),
    Case(id="503 with a second", answers=lists(busy(503, "1"), count=1)),
    Case(id="500 with a second", answers=lists(busy(500, "1"), count=1)),
    Case(id="429 at once again", answers=lists(busy(429, "0"), count=3)),
    Case(id="429 at once again, for ever", answers=lists(busy(429, "0")), works=False),
    Case(id="503 at once again, for ever", answers=lists(busy(503, "0")), works=False),
    Case(id="429 with a date", answers=lists(busy(429, "Wed, 21 Oct 2015 07:28:00 GMT")), works=False),
    Case(id="a connection that ends after each answer", answers=closes_each),
    Case(id="a kept connection that was closed", answers=drops_second),
    Case(id="a connection that ends before the answer, once", answers=lists(Answer(drops=True), count=1)),
    Case(id="a redirect to another host", difference=REDIRECT, answers=redirects(302, "https://localhost:<b-port>")),
    Case(
        id="a redirect to another port of the host",
        difference=REDIRECT,
        answers=redirects(307, "https://127.0.0.1:<b-port>"),
    ),
    Case(
        id="a redirect to a host without TLS",
        difference=REDIRECT,
        answers=redirects(302, "http://localhost:<plain-port>"),
    ),
    Case(
        id="a redirect to another host, with a password",
        difference=REDIRECT,
        answers=redirects(302, "https://localhost:<b-port>"),
        user={"username": "me", "password": "s3cr3t"},
    ),
    Case(
        id="a redirect to another host, with a certificate",
        difference=REDIRECT,
        answers=redirects(302, "https://localhost:<b-port>"),
        user={"client-certificate-data": "<me-cert>", "client-key-data": "<me-key>", "as": "robot"},
    ),
    Case(
        id="a redirect to itself, for ever",
        answers=lambda request, _: Answer(302, headers={"Location": request.path}),
        works=False,
    ),
    Case(id="a redirect to nowhere", answers=lambda *_: Answer(302), works=False),
    Case(
        id="a redirect to a page that logs in",
        answers=lambda request, _: HTML if request.path == "/login" else Answer(302, headers={"Location": "/login"}),
        works=False,
    ),
    Case(
        id="a redirect out of the API",
        cluster=CLUSTER,
        answers=lists(Answer(301, headers={"Location": "/login"})),
        works=False,
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_answers_are_taken_as_by_kubectl(case: Case, tmp_path: Path) -> None:
    judge(case, tmp_path)
