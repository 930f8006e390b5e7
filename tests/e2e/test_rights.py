"""The example policies hold: a run does all its work with the rights of `train`, and changes nothing of others."""

import http.client
import json
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest

from examples.local_s3 import Server
from tests.e2e.commands import job_file, ocrfleet
from trainer.errors import AccessError, ConflictError
from trainer.storage import open_store

POLICIES = Path(__file__).parents[2] / "manifests" / "examples" / "iam"

CREATE_ONLY = {"Null": {"s3:if-none-match": "false"}}
"""https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes-enforce.html; SeaweedFS does not know it."""


def statements(name: str, *, bucket: str) -> list[dict[str, Any]]:
    """Return the statements of a policy, with one bucket for data and models, and one channel."""
    text = (POLICIES / f"{name}.json").read_text("utf-8").replace("channels/*.json", "channels/candidate.json")
    for other in ("ocr-data", "ocr-models"):
        text = text.replace(f":::{other}", f":::{bucket}")
    found: list[dict[str, Any]] = json.loads(text)["Statement"]
    return found


def grant(server: Server, bucket: str, *names: str) -> None:
    """Put the statements of some example policies on the bucket. `CreateOnly` enforces those that need a condition."""
    granted = [
        {name: value for name, value in each.items() if (name, value) != ("Condition", CREATE_ONLY)}
        for policy in names
        for each in statements(policy, bucket=bucket)
    ]
    policy = {"Version": "2012-10-17", "Statement": [{**each, "Principal": "*"} for each in granted]}
    with server.client() as client:
        client.put_bucket_policy(Bucket=bucket, Policy=json.dumps(policy))


@dataclass(frozen=True)
class CreateOnly:
    """A front of the server that refuses writes as S3 does for `CREATE_ONLY`: without the header If-None-Match."""

    target: str
    patterns: list[str]

    @contextmanager
    def serve(self) -> Iterator[str]:
        """Yield its endpoint."""
        front = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                if front.refuses(self.command, self.path, conditional="If-None-Match" in self.headers):
                    status, headers, content = 403, [], b"<Error><Code>AccessDenied</Code></Error>"
                else:
                    status, headers, content = front.ask(self.command, self.path, self.headers.items(), body)
                self.send_response_only(status)
                for name, value in headers:
                    self.send_header(name, value)
                if self.command != "HEAD":
                    self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            do_DELETE = do_GET = do_HEAD = do_POST = do_PUT = answer

        with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
            Thread(target=server.serve_forever, daemon=True).start()
            yield f"http://127.0.0.1:{server.server_port}"
            server.shutdown()

    def refuses(self, method: str, path: str, *, conditional: bool) -> bool:
        key = unquote(urlsplit(path).path)
        return method in ("POST", "PUT") and not conditional and any(fnmatchcase(key, p) for p in self.patterns)

    def ask(self, method: str, path: str, headers: Any, body: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
        """Pass a request on, with its signed headers as they are."""
        with closing(http.client.HTTPConnection(urlsplit(self.target).netloc, timeout=60)) as connection:
            connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
            for name, value in headers:
                connection.putheader(name, value)
            connection.endheaders(body)
            found = connection.getresponse()
            content = found.read()
            own = {"connection", "transfer-encoding"} | (set() if method == "HEAD" else {"content-length"})
            return found.status, [pair for pair in found.getheaders() if pair[0].lower() not in own], content


@pytest.mark.paddle
@pytest.mark.timeout(300)
def test_a_training_role_trains_and_publishes_and_needs_another_to_promote(
    tmp_path: Path, bucket: str, data: str, s3_server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    admin = open_store(bucket)
    admin.push({f"receipts/{path.relative_to(tmp_path / 'pages')}": path for path in (tmp_path / "pages").rglob("*.*")})
    others = {f"receipts-rec/{folder}/receipts-rec-v2-12345678/key" for folder in ("checkpoints", "runs")}
    for key in others:
        admin.put(key, b"of another job")
    name = bucket.removeprefix("s3://").strip("/")
    grant(s3_server, name, "train")
    create_only = [each for each in statements("train", bucket=name) if each.get("Condition") == CREATE_ONLY]
    patterns = [resource.replace("arn:aws:s3:::", "/") for each in create_only for resource in each["Resource"]]
    assert patterns == [f"/{name}/receipts-rec/runs/receipts-rec-????????/*"]
    with CreateOnly(s3_server.endpoint, patterns).serve() as endpoint:
        for variable, value in {**s3_server.guest_environment, "AWS_ENDPOINT_URL": endpoint}.items():
            monkeypatch.setenv(variable, value)
        sets = ["run.publish.promote=candidate"]
        output = f"{bucket}receipts-rec/"
        path = job_file(tmp_path, name="receipts-rec", data=f"{bucket}receipts/", output=output, sets=sets)
        command = ("run", str(path), "--workdir", str(tmp_path / "runs"))

        refused = ocrfleet(*command)
        assert refused.returncode == 42, refused.stderr
        assert "receipts-rec/channels/" in refused.stderr, refused.stderr
        guest = open_store(bucket)
        ours = [info.key for info in guest.list("receipts-rec/runs") if info.key not in others]
        assert any(key.endswith("/manifest.json") for key in ours)
        for key in ours:
            before = admin.etag(key)
            with pytest.raises(AccessError):
                guest.put(key, b"{}")
            with pytest.raises(AccessError):
                guest.push({key: path})
            with pytest.raises(ConflictError):
                guest.put(key, b"{}", if_absent=True)
            with pytest.raises(AccessError):
                guest.delete([key])
            assert admin.etag(key) == before
        for key in [*others, "receipts-rec/checkpoints/receipts-rec-v2-12345678/1/00000007/checkpoint.json"]:
            with pytest.raises(AccessError):
                guest.put(key, b"{}", if_absent=True)
            with pytest.raises(AccessError):
                guest.delete([key])
        with pytest.raises(AccessError):
            guest.get("receipts-rec/checkpoints/receipts-rec-v2-12345678/key")
        assert not guest.list("receipts-rec/channels/")
        with pytest.raises(AccessError):
            guest.put("receipts-rec/channels/production.json", b"{}")
        with pytest.raises(AccessError):
            open_store(data).list()

        grant(s3_server, name, "train", "promote")
        promoted = ocrfleet(*command)
        assert promoted.returncode == 0, promoted.stderr
        with pytest.raises(AccessError):
            guest.put("receipts-rec/channels/production.json", b"{}")
        assert [info.key for info in guest.list("receipts-rec/channels/")] == ["receipts-rec/channels/candidate.json"]
