"""A real S3 server for the whole session, and a new bucket in it for each test."""

import secrets
from collections.abc import Iterator

import pytest

from examples.local_s3 import Server, local_s3


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
