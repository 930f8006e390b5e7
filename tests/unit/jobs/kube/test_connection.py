"""As whom and how the server is reached: tokens, certificates and proxies, told by a server that answers."""

import base64
from pathlib import Path
from typing import Any

import pytest
import trustme

from jobs.kube import kubeconfig
from jobs.kube.connection import Access
from jobs.kube.kubeconfig import Choice
from tests.unit.jobs.kube.mirror import Written, _authorization, text_of
from trainer.errors import SpecError, TransientError


def test_who_asks_is_in_each_request(written: Written, tmp_path: Path) -> None:
    written.user = {"token": "secret"}
    assert _authorization(written.open()) == "Bearer secret"
    (tmp_path / "t").write_text("from-file\n", "utf-8")
    written.user = {"token": "secret", "tokenFile": "t"}
    assert _authorization(written.open()) == "Bearer from-file"
    written.user = {"username": "me", "password": "pass:word"}
    assert _authorization(written.open()) == f"Basic {base64.b64encode(b'me:pass:word').decode()}"
    written.user = {}
    assert _authorization(written.open()) is None


def test_a_user_may_act_as_another(written: Written) -> None:
    written.user = {
        "token": "t",
        "as": "robot",
        "as-uid": "7",
        "as-groups": ["ocr", "night"],
        "as-user-extra": {"Team/No": ["1", "2"]},
    }
    said = written.seen()["headers"]
    assert said["Impersonate-User"] == ["robot"]
    assert said["Impersonate-Uid"] == ["7"]
    assert said["Impersonate-Group"] == ["ocr", "night"]
    assert said["Impersonate-Extra-Team%2Fno".title()] == ["1", "2"]


def test_what_nobody_logs_in_by_any_more_is_said(written: Written) -> None:
    written.user = {"auth-provider": {"name": "gcp"}}
    with pytest.raises(SpecError, match=r"the auth-provider 'gcp'.*Create the kubeconfig again"):
        written.open()


def test_a_token_file_that_is_not_there_is_named(written: Written) -> None:
    written.user = {"tokenFile": "gone"}
    with pytest.raises(SpecError, match=r"/gone, named in the kubeconfig, cannot be read: No such file"):
        written.seen()


def test_the_server_is_known_by_its_certificate(secured: Written, authority: trustme.CA, tmp_path: Path) -> None:
    assert secured.seen()["shown"] is None
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    secured.cluster = {"server": secured.cluster["server"], "certificate-authority": "ca.pem"}
    assert secured.seen()
    secured.cluster["certificate-authority-data"] = text_of(trustme.CA().cert_pem)
    with pytest.raises(TransientError, match="does not respond"):
        secured.seen()
    secured.cluster["insecure-skip-tls-verify"] = True
    assert secured.seen()


def test_the_server_may_have_another_name(secured: Written) -> None:
    secured.cluster["server"] = secured.cluster["server"].replace("localhost", "127.0.0.1")
    with pytest.raises(TransientError):
        secured.seen()
    secured.cluster["tls-server-name"] = "api.test"
    assert secured.seen()
    secured.cluster["tls-server-name"] = "other.test"
    with pytest.raises(TransientError):
        secured.seen()


@pytest.mark.parametrize("data", [True, False])
def test_the_user_may_show_a_certificate(
    secured: Written, authority: trustme.CA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, data: bool
) -> None:
    mine = authority.issue_cert("me@team", organization_unit_name="me")
    secured.user = {
        "client-certificate-data": text_of(mine.cert_chain_pems[0]),
        "client-key-data": text_of(mine.private_key_pem),
    }
    if not data:
        mine.cert_chain_pems[0].write_to_path(tmp_path / "c.pem")
        mine.private_key_pem.write_to_path(tmp_path / "k.pem")
        secured.user = {"client-certificate": "c.pem", "client-key": "k.pem"}
    (scratch := tmp_path / "scratch").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(scratch))
    assert secured.seen()["shown"] == "me"
    assert not list(scratch.iterdir()), "a key was left behind"


@pytest.mark.parametrize(
    ("user", "cluster", "words"),
    [
        (
            {"client-certificate-data": "YQ==", "client-key-data": "YQ=="},
            {},
            "is not a certificate, or client-key does not match it",
        ),
        ({"client-certificate-data": "?", "client-key-data": "YQ=="}, {}, "client-certificate-data .* is not base64"),
        ({}, {"certificate-authority-data": "YQ=="}, "is not a certificate"),
        ({}, {"certificate-authority": "gone.pem"}, r"gone\.pem, named in the kubeconfig, cannot be read"),
    ],
)
def test_a_certificate_that_is_none_is_said(secured: Written, user: Any, cluster: Any, words: str) -> None:
    if cluster:
        secured.cluster = {"server": secured.cluster["server"], **cluster}
    secured.user = user
    with pytest.raises(SpecError, match=words):
        secured.seen()


@pytest.mark.parametrize("told", ["the kubeconfig", "the environment"])
def test_a_proxy_stands_before_the_server(
    written: Written, plain: int, monkeypatch: pytest.MonkeyPatch, told: str
) -> None:
    written.cluster = {"server": "http://api.test:6443"}
    proxy = f"http://me:pass@127.0.0.1:{plain}"
    if told == "the kubeconfig":
        written.cluster["proxy-url"] = proxy
        monkeypatch.setenv("NO_PROXY", "api.test")
    else:
        monkeypatch.setenv("HTTP_PROXY", proxy)
    seen = written.seen()
    assert seen["path"].startswith("http://api.test:6443/api/v1/")
    assert seen["headers"]["Proxy-Authorization"] == [f"Basic {base64.b64encode(b'me:pass').decode()}"]


@pytest.mark.parametrize(
    ("server", "without", "proxy"),
    [
        ("https://api.test", "", "http://proxy:3128"),
        ("https://api.test:6443", "api.test", None),
        ("https://a.api.test", ".api.test", None),
        ("https://10.1.2.3:6443", "10.0.0.0/8", None),
        ("https://11.1.2.3:6443", "10.0.0.0/8,nonsense", "http://proxy:3128"),
        ("https://api.test", "*", None),
        ("https://127.0.0.1:6443", "", None),
        ("https://localhost", "", None),
        ("http://api.test", "", None),
    ],
)
def test_what_goes_by_no_proxy(monkeypatch: pytest.MonkeyPatch, server: str, without: str, proxy: str | None) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy:3128")
    monkeypatch.setenv("NO_PROXY", without)
    assert Access(Choice("c", kubeconfig.Server(server))).proxy() == proxy


def test_a_proxy_of_another_kind_is_refused_without_its_password(written: Written) -> None:
    written.cluster = {"server": "https://api.test", "proxy-url": "socks5://me:secret@proxy:1080"}
    with pytest.raises(SpecError, match="socks5://proxy of the cluster is not an HTTP proxy") as caught:
        written.seen()
    assert "secret" not in str(caught.value)
