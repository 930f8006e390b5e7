"""What a message shows of a URL."""

import pytest

from trainer.formats.urls import without_secrets


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://me:secret@host/x", "https://***@host/x"),
        ("https://me:sec/r@et@host", "https://***@host"),
        ("me:secret@host:9000", "***@host:9000"),
        ("https://host/x?token=secret", "https://host/x?***"),
        ("https://host?secret", "https://host?***"),
        ("host:9000/?token=secret\nsecret", "host:9000/?***"),
        ("https://host/x", "https://host/x"),
        ("registry/name:1@sha256:0", "registry/name:1@sha256:0"),
        ("name:1@sha256:0", "name:1@sha256:0"),
        ("me@example.com", "me@example.com"),
        ("why?", "why?"),
    ],
)
def test_users_passwords_and_queries_are_masked(url: str, shown: str) -> None:
    assert without_secrets(url) == shown
