"""As whom and how the server is reached: tokens, certificates, and what answers in its place.

`tests/kubectl` compares the rest with kubectl.
"""

import base64
import os
import socket
import ssl
import threading
from pathlib import Path
from typing import Any

import pytest
import trustme

from jobs.kube.client import Cluster
from jobs.kube.connection import Client, connect, tls
from jobs.kube.kinds import POD
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


def test_an_oidc_token_is_sent_as_it_is(written: Written) -> None:
    written.user = {"auth-provider": {"name": "oidc", "config": {"id-token": "a.b.c"}}}
    assert _authorization(written.open()) == "Bearer a.b.c"


def test_a_token_that_cannot_be_sent_is_refused_without_showing_it(written: Written) -> None:
    written.user = {"token": "sec\nret"}
    with pytest.raises(SpecError, match="has a line break or a control character in a token") as caught:
        written.seen()
    assert "sec" not in str(caught.value).replace("second", "")


def test_credentials_are_not_sent_in_clear_to_another_machine(
    written: Written, plain: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", f"localhost:{plain}")
    for user in ({"token": "secret"}, {"username": "me", "password": "secret"}):
        written.cluster, written.user = {"server": "http://api.test"}, {**user, "as": "robot"}
        headers = written.seen()["headers"]
        assert "Authorization" not in headers
        assert headers["Impersonate-User"] == ["robot"]


def test_a_token_file_that_is_not_there_is_named(written: Written) -> None:
    written.user = {"tokenFile": "gone"}
    with pytest.raises(SpecError, match=r"/gone, named in the kubeconfig, cannot be read: No such file"):
        written.seen()


def test_the_server_is_known_by_its_certificate(secured: Written, authority: trustme.CA, tmp_path: Path) -> None:
    assert secured.seen()["shown"] is None
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    secured.cluster = {"server": secured.cluster["server"], "certificate-authority": "ca.pem"}
    assert secured.seen()
    del secured.cluster["certificate-authority"]
    secured.cluster["certificate-authority-data"] = text_of(trustme.CA().cert_pem)
    with pytest.raises(SpecError, match=r"is not trusted: self-signed certificate in certificate chain\. Check cert"):
        secured.seen()
    secured.cluster = {"server": secured.cluster["server"], "insecure-skip-tls-verify": True}
    assert secured.seen()


def test_the_server_may_have_another_name(secured: Written) -> None:
    secured.cluster["server"] = secured.cluster["server"].replace("localhost", "127.0.0.1")
    with pytest.raises(SpecError):
        secured.seen()
    secured.cluster["tls-server-name"] = "api.test"
    assert secured.seen()
    secured.cluster["tls-server-name"] = "other.test"
    with pytest.raises(SpecError):
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
            "is not a certificate, or client-key is encrypted or does not match it",
        ),
        ({"client-certificate-data": "?", "client-key-data": "YQ=="}, {}, "client-certificate-data .* is not base64"),
        ({}, {"certificate-authority-data": "YQ=="}, "is not a certificate"),
        ({}, {"certificate-authority": "gone.pem"}, r"gone\.pem is not a file that can be read"),
    ],
)
def test_a_certificate_that_is_none_is_said(secured: Written, user: Any, cluster: Any, words: str) -> None:
    if cluster:
        secured.cluster = {"server": secured.cluster["server"], **cluster}
    secured.user = user
    with pytest.raises(SpecError, match=words):
        secured.seen()


@pytest.mark.parametrize("ask", ["get", "find", "watch", "served", "serves"])
def test_a_page_in_place_of_an_api_server_is_named(written: Written, ask: str) -> None:
    written.open()
    cluster = Cluster(namespace="html", deadline=5)
    cluster.host += "/namespaces/html/.."
    asking: dict[str, Any] = {
        "get": lambda: cluster.get(POD, "a"),
        "find": lambda: cluster.find(POD),
        "watch": lambda: list(cluster.watch(POD, since="1")),
        "served": lambda: cluster.served("batch"),
        "serves": lambda: cluster.serves(POD),
    }
    with pytest.raises(SpecError, match=r"does not answer as a Kubernetes API server .*a login page may answer"):
        asking[ask]()


@pytest.mark.parametrize("proxied", [False, True])
def test_a_kept_connection_that_was_closed_is_opened_again(written: Written, plain: int, proxied: bool) -> None:
    if proxied:
        written.cluster = {"server": "http://api.test", "proxy-url": f"http://localhost:{plain}"}
    written.open()
    cluster = Cluster(namespace="cut", deadline=5)
    assert cluster.get(POD, "a")
    assert cluster.get(POD, "a")


def test_a_changed_authority_is_read_again(secured: Written, authority: trustme.CA, tmp_path: Path) -> None:
    trustme.CA().cert_pem.write_to_path(tmp_path / "ca.pem")
    secured.cluster = {"server": secured.cluster["server"], "certificate-authority": "ca.pem"}
    cluster = secured.open()
    with pytest.raises(SpecError):
        cluster.get(POD, "a")
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    os.utime(tmp_path / "ca.pem", (1, 1))
    assert cluster.get(POD, "a")


def test_a_server_that_was_cut_off_is_noticed(written: Written) -> None:
    """A log that is followed may be silent for hours."""
    written.open()
    options = connect().api.rest_client.pool_manager.connection_pool_kw["socket_options"]
    assert (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1) in options


def test_an_intermediate_authority_is_trusted(secured: Written, authority: trustme.CA) -> None:
    """As in Go; Python wants the root unless it is told."""
    secured.open()
    api = connect().api
    assert isinstance(api, Client)
    flags = api.tls(None).verify_flags
    assert flags & ssl.VERIFY_X509_PARTIAL_CHAIN
    assert not flags & ssl.VERIFY_X509_STRICT
    assert tls(api.configuration).verify_mode is ssl.CERT_REQUIRED


def test_a_pod_has_its_own_account(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, secure: int, authority: trustme.CA
) -> None:
    for name, text in (("token", "one"), ("namespace", "team-ocr\n")):
        (tmp_path / name).write_text(text, "utf-8")
    authority.cert_pem.write_to_path(tmp_path / "ca.crt")
    monkeypatch.setattr("kubernetes.config.incluster_config.SERVICE_TOKEN_FILENAME", str(tmp_path / "token"))
    monkeypatch.setattr("kubernetes.config.incluster_config.SERVICE_CERT_FILENAME", str(tmp_path / "ca.crt"))
    monkeypatch.setattr("jobs.kube.connection._NAMESPACE", tmp_path / "namespace")
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "localhost")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", str(secure))
    cluster = Cluster(deadline=5)
    assert (cluster.context, cluster.namespace) == ("in-cluster", "team-ocr")
    assert _authorization(cluster) == "Bearer one"
    (tmp_path / "token").write_text("two\n", "utf-8")
    assert _authorization(cluster) == "Bearer two"


def test_a_proxy_does_not_see_credentials_for_a_server_in_clear(written: Written, plain: int) -> None:
    written.cluster = {"server": "http://localhost:1", "proxy-url": f"http://localhost:{plain}"}
    written.user = {"token": "secret"}
    assert _authorization(written.open()) is None


def test_a_token_file_that_is_replaced_leaves_the_last_token(written: Written, tmp_path: Path) -> None:
    (path := tmp_path / "t").write_text("first", "utf-8")
    written.user = {"tokenFile": "t"}
    cluster = written.open()
    assert _authorization(cluster) == "Bearer first"
    path.write_text("", "utf-8")
    assert _authorization(cluster) == "Bearer first"
    path.unlink()
    assert _authorization(cluster) == "Bearer first"
    path.write_text("second", "utf-8")
    assert _authorization(cluster) == "Bearer second"


def test_a_certificate_that_is_replaced_is_used_with_its_key(
    secured: Written, authority: trustme.CA, tmp_path: Path
) -> None:
    first, second = (authority.issue_cert(f"{name}@team", organization_unit_name=name) for name in ("first", "second"))
    first.cert_chain_pems[0].write_to_path(tmp_path / "c.pem")
    first.private_key_pem.write_to_path(tmp_path / "k.pem")
    secured.user = {"client-certificate": "c.pem", "client-key": "k.pem"}
    cluster = secured.open()

    def shown() -> str:
        return (cluster.get(POD, "a") or {})["shown"]  # type: ignore[no-any-return]

    assert shown() == "first"
    second.cert_chain_pems[0].write_to_path(tmp_path / "c.pem")
    os.utime(tmp_path / "c.pem", (1, 1))
    assert shown() == "first", "its key is not there yet"
    (tmp_path / "k.pem").unlink()
    assert shown() == "first"
    second.private_key_pem.write_to_path(tmp_path / "k.pem")
    assert shown() == "second"


def test_an_authority_in_the_kubeconfig_is_not_written_to_a_file(
    secured: Written, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "none"))
    assert secured.seen()


@pytest.mark.parametrize("proxy", ["http://me:se/cret@proxy:1", "http://me:secret@a proxy", "http://me:secret@%zz:1"])
def test_a_proxy_that_is_no_address_is_refused_without_its_password(written: Written, proxy: str) -> None:
    written.cluster["proxy-url"] = proxy
    with pytest.raises(SpecError, match=r"is not a valid address\. Percent-encode special characters") as caught:
        written.open()
    assert "'se'" not in str(caught.value)
    assert caught.value.__suppress_context__, "--debug would show it"


def test_a_websocket_follows_no_redirect(written: Written) -> None:
    """It would send the token to the host that the redirect names."""
    written.user = {"token": "secret"}
    asked: list[bytes] = []
    with socket.create_server(("localhost", 0)) as first, socket.create_server(("localhost", 0)) as other:
        other.setblocking(False)
        location = f"ws://localhost:{other.getsockname()[1]}/"

        def redirect() -> None:
            connection, _ = first.accept()
            with connection:
                asked.append(connection.recv(1 << 16))
                connection.sendall(f"HTTP/1.1 302 Found\r\nLocation: {location}\r\n\r\n".encode())

        written.cluster = {"server": f"http://localhost:{first.getsockname()[1]}"}
        threading.Thread(target=redirect, daemon=True).start()
        with pytest.raises(TransientError, match="does not respond"):
            written.open().execute("a", ["true"])
        with pytest.raises(BlockingIOError):
            other.accept()
    assert b"Authorization: Bearer secret" in asked[0]


def test_a_name_outside_ascii_is_impersonated_by_a_websocket_too(written: Written) -> None:
    written.user = {"as": "jürgen"}
    written.open()
    api = connect().api
    assert isinstance(api, Client)
    assert api.identity(None) == [("Impersonate-User", "jürgen")], "the library encodes it in UTF-8"
    said: str = written.seen()["headers"]["Impersonate-User"][0]
    assert said.encode("latin-1").decode() == "jürgen"
