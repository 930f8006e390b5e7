"""A real S3 server for the whole session, and a new bucket in it for each test."""

import secrets
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from examples.demo import pages
from examples.local_s3 import Server, local_s3
from tests.proxy import Proxy
from trainer.storage import open_store


@pytest.fixture(scope="session")
def s3_server() -> Iterator[Server]:
    """A running SeaweedFS; ask for `bucket` unless the test is about the server."""
    with local_s3() as server:
        yield server


@pytest.fixture
def bucket(s3_server: Server, monkeypatch: pytest.MonkeyPatch) -> str:
    """URI of a new, empty bucket (`s3://…/`); the AWS_* environment of the test reaches it."""
    for name, value in s3_server.environment.items():
        monkeypatch.setenv(name, value)
    name = f"test-{secrets.token_hex(4)}"
    s3_server.create_bucket(name)
    return f"s3://{name}/"


@pytest.fixture
def proxy(s3_server: Server) -> Iterator[Proxy]:
    """A line to the server that breaks when it is told to."""
    with closing(Proxy(s3_server.endpoint)) as made:
        yield made


@pytest.fixture
def data(tmp_path: Path, bucket: str) -> str:
    """Six labelled pages in the bucket."""
    export = tmp_path / "pages"
    pages.write_export(export, pages=6, seed=1)
    uri = f"{bucket}data/"
    open_store(uri).push({f"pages/{p.relative_to(export)}": p for p in export.rglob("*") if p.is_file()})
    return uri
