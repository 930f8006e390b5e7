"""How a bucket is reached: by TLS, by its host name, and by the settings of the AWS tools, on a real S3 server."""

import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from pathlib import Path

import pytest
import trustme

from examples.local_s3 import Server
from tests.e2e.commands import ocrfleet
from tests.e2e.front import Front, serving
from trainer import contract
from trainer.errors import AccessError, NotFoundError
from trainer.storage import Store, open_store

DOMAIN = "http://s3.example.test"
"""The name under which the server takes requests to `BUCKET.s3.example.test`; no resolver knows it."""


def secured(target: str, certificate: trustme.LeafCert) -> AbstractContextManager[str]:
    """Serve an S3 server over TLS, for a with statement that takes its endpoint."""
    return serving(type("Secured", (Front,), {"target": target}), certificate=certificate)


@pytest.fixture
def authority(tmp_path: Path) -> trustme.CA:
    made = trustme.CA()
    made.cert_pem.write_to_path(tmp_path / "ca.pem")
    return made


def works(store: Store) -> bool:
    """Write, list, read and delete."""
    store.put("a/ü x", b"content")
    found = [(info.key, store.get(info.key)) for info in store.list()]
    store.delete(["a/ü x"])
    return found == [("a/ü x", b"content")] and store.list() == []


@pytest.mark.parametrize("setting", ["variable", "profile"])
def test_an_authority_of_ones_own_is_trusted_as_by_the_aws_tools(
    bucket: str, s3_server: Server, authority: trustme.CA, tmp_path: Path, setting: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = str(tmp_path / "ca.pem")
    if setting == "variable":
        monkeypatch.setenv("AWS_CA_BUNDLE", bundle)
    else:
        (tmp_path / "config").write_text(f"[default]\nca_bundle = {bundle}\n", "utf-8")
        monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    with secured(s3_server.endpoint, authority.issue_cert("127.0.0.1")) as endpoint:
        monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
        assert works(open_store(bucket))


@pytest.mark.parametrize(
    ("trusted", "issue", "sentence"),
    [
        (
            False,
            lambda ca: ca.issue_cert("127.0.0.1"),
            r"is from an authority that is not trusted here\. Set AWS_CA_BU",
        ),
        (True, lambda ca: ca.issue_cert("s3.example.test"), r"is for another host\. Check AWS_ENDPOINT_URL"),
        (
            True,
            lambda ca: ca.issue_cert("127.0.0.1", not_after=datetime(2020, 1, 1, tzinfo=UTC)),
            r"has expired\. Renew it",
        ),
    ],
    ids=["authority", "host", "time"],
)
@pytest.mark.timeout(60)
def test_a_certificate_that_is_not_trusted_is_named_and_final(
    bucket: str,
    s3_server: Server,
    authority: trustme.CA,
    tmp_path: Path,
    trusted: bool,
    issue: Callable[[trustme.CA], trustme.LeafCert],
    sentence: str,
) -> None:
    with secured(s3_server.endpoint, issue(authority)) as endpoint:
        environ = {**os.environ, "AWS_ENDPOINT_URL": endpoint}
        if trusted:
            environ["AWS_CA_BUNDLE"] = str(tmp_path / "ca.pem")
        # With that patience, a fault that is retried lasts longer than the test may.
        store = open_store(bucket, environ=environ, patience=3600)
        for deed in (store.list, lambda: store.put("k", b""), lambda: store.pull(["k"], tmp_path / "dest")):
            with pytest.raises(AccessError, match=f"The certificate of {endpoint} {sentence}"):
                deed()


@pytest.fixture
def by_name(bucket: str, s3_server: Server, monkeypatch: pytest.MonkeyPatch) -> str:
    """The same bucket, behind a name that leads to the server: it is its own proxy, so no resolver is asked."""
    for name in ("no_proxy", "NO_PROXY", "http_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HTTP_PROXY", s3_server.endpoint)
    monkeypatch.setenv("AWS_ENDPOINT_URL", DOMAIN)
    return bucket


@pytest.mark.parametrize("style", ["path", "virtual", "auto"])
@pytest.mark.parametrize("setting", ["variable", "profile"])
def test_a_bucket_is_addressed_in_path_or_host_name(
    by_name: str, tmp_path: Path, setting: str, style: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if setting == "variable":
        monkeypatch.setenv(contract.ENV_S3_ADDRESSING, style)
    else:
        (tmp_path / "config").write_text(f"[default]\ns3 =\n  addressing_style = {style}\n", "utf-8")
        monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    assert works(open_store(by_name))
    # A name that no server is asked for shows where the bucket's name went.
    wrong = open_store(by_name.replace("test-", "none-"), patience=1)
    with pytest.raises(NotFoundError) as caught:
        wrong.list()
    shown = "http://none-" if style == "virtual" else DOMAIN
    assert f" does not exist at {shown}" in str(caught.value)


def test_buckets_by_host_name_are_not_mixed_up(
    by_name: str, s3_server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = by_name.replace("test-", "other-")
    s3_server.create_bucket(other[5:-1])
    monkeypatch.setenv(contract.ENV_S3_ADDRESSING, "virtual")
    monkeypatch.setenv("AWS_VIRTUAL_HOSTED_STYLE_REQUEST", "false")  # a setting of the client's own; not ours
    open_store(by_name).put("x", b"1")
    assert open_store(other).list() == []
    assert open_store(f"{by_name}x/").list() == []
    assert [info.key for info in open_store(by_name).list()] == ["x"]


@pytest.mark.parametrize(
    ("endpoint", "sentence"),
    [
        ("localhost:9000", "AWS_ENDPOINT_URL is 'localhost:9000'. Begin it with http:// or https://."),
        ("http://127.0.0.1:9 ", "AWS_ENDPOINT_URL is 'http://127.0.0.1:9 ', with a blank or a control character."),
        ("http://me:hushhush@127.0.0.1:9", "AWS_ENDPOINT_URL has a user name or a password."),
        ("http://127.0.0.1:9/?token=hushhush", "AWS_ENDPOINT_URL has a query or a fragment."),
    ],
)
def test_a_command_ends_with_a_sentence_for_an_endpoint_that_cannot_be_one(
    endpoint: str, sentence: str, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
    done = ocrfleet("data", "check", bucket)
    assert (done.returncode, done.stdout) == (contract.ExitCode.SPEC, "")
    assert done.stderr.startswith(f"error: {sentence}")
    assert "hushhush" not in done.stderr
    assert len(done.stderr.splitlines()) == 1
