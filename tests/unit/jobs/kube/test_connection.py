"""Which cluster, as whom and how it is reached: kubeconfigs, tokens, certificates and proxies.

A server that answers tells what it was asked. `tests/kubectl` compares the rest with kubectl.
"""

import base64
import contextlib
import os
import ssl
from pathlib import Path
from typing import Any

import pytest
import trustme
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.kube.client import Cluster
from jobs.kube.connection import Client, Target, connect, tls
from jobs.kube.kinds import POD
from tests.unit.jobs.kube.mirror import Written, _authorization, config, text_of
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


@pytest.mark.parametrize(
    ("user", "words"),
    [
        ({"auth-provider": {"name": "gcp"}}, r"the auth-provider 'gcp'.*: create the kubeconfig again"),
        ({"auth-provider": {"name": "oidc"}}, "has no id-token: log in as for kubectl"),
        (
            {"auth-provider": {"name": "oidc", "config": {"id-token": "t"}}, "exec": {"command": "c"}},
            "both an auth-provider and a credential plugin",
        ),
        ({"token": "t", "username": "me", "password": "p"}, "both a token and a username"),
        ({"client-certificate-data": "YQ=="}, "a client-certificate without a client-key"),
        (
            {"client-key-data": "YQ==", "client-key": "k", "client-certificate": "c"},
            "both client-key and client-key-data",
        ),
        ({"as-groups": ["ocr"]}, "impersonates a group"),
        ({"exec": {"apiVersion": "client.authentication.k8s.io/v1"}}, "has no command"),
        ({"exec": {"command": "aws", "apiVersion": "v0"}}, "the API version 'v0' of its user's credential plugin"),
        ({"exec": {"command": "aws", "apiVersion": "client.authentication.k8s.io/v1"}}, "needs interactiveMode"),
        ({"tokenFile": "t", "username": "me"}, "both a token and a username"),
        ({"token": 7}, "token is not of the type str"),
        ({"exec": {"command": "aws", "args": [1]}}, "args is not of the type list"),
    ],
)
def test_a_user_that_kubectl_refuses_is_refused(written: Written, user: Any, words: str) -> None:
    written.user = user
    with pytest.raises(SpecError, match=words):
        written.open()


@pytest.mark.parametrize(
    ("cluster", "words"),
    [
        ({"insecure-skip-tls-verify": True, "certificate-authority-data": "YQ=="}, "exclude each other"),
        ({"certificate-authority": "a", "certificate-authority-data": "YQ=="}, "both certificate-authority and"),
        ({"certificate-authority": "gone.pem"}, r"/gone\.pem is not a file that can be read"),
        ({"server": "https://me:secret@api.test"}, "has a user name, a query or a fragment"),
        ({"server": "api.test:6443"}, "not an address that begins with https://"),
        ({"proxy-url": "ftp://me:secret@proxy:1080"}, "proxy of the cluster is not supported: its address must begin"),
    ],
)
def test_a_cluster_that_kubectl_refuses_is_refused(written: Written, cluster: Any, words: str) -> None:
    written.cluster |= cluster
    with pytest.raises(SpecError, match=words) as caught:
        written.open()
    assert "secret" not in str(caught.value)


def test_an_oidc_token_is_sent_as_it_is(written: Written) -> None:
    written.user = {"auth-provider": {"name": "oidc", "config": {"id-token": "a.b.c"}}}
    assert _authorization(written.open()) == "Bearer a.b.c"


def test_a_token_that_cannot_be_sent_is_refused_without_showing_it(written: Written) -> None:
    written.user = {"token": "sec\nret"}
    with pytest.raises(SpecError, match="has a line break or a control character in a token") as caught:
        written.seen()
    assert "sec" not in str(caught.value).replace("second", "")


def test_the_flags_choose_as_those_of_kubectl(written: Written, plain: int, tmp_path: Path) -> None:
    server = {"server": f"http://localhost:{plain}"}
    content = config("a", cluster={"server": "http://a"}, user={"token": "a"})
    for kind, fields in (("cluster", server), ("user", {"token": "b"})):
        content[f"{kind}s"].append({"name": "b", kind: fields})
    content["contexts"].append({"name": "b", "context": {"cluster": "b", "user": "b", "namespace": "ocr"}})
    (path := tmp_path / "other").write_text(yaml.safe_dump(content), "utf-8")

    def said(**flags: Any) -> tuple[str, str | None, list[str] | None, list[str] | None]:
        cluster = Cluster(connect(Target(kubeconfig=path, **flags)), deadline=5)
        token = _authorization(cluster)
        headers = (cluster.get(POD, "a") or {})["headers"]
        return cluster.namespace, token, headers.get("Impersonate-User"), headers.get("Impersonate-Group")

    assert said(context="b") == ("ocr", "Bearer b", None, None)
    assert said(cluster="b") == ("default", "Bearer a", None, None)
    assert said(cluster="b", user="b") == ("default", "Bearer b", None, None)
    assert said(server=server["server"]) == ("default", "Bearer a", None, None)
    assert said(context="b", impersonate="me", groups=("x", "y")) == ("ocr", "Bearer b", ["me"], ["x", "y"])
    with pytest.raises(SpecError, match=r"`as` \(--as\) is missing"):
        said(groups=("x",))
    for kind in ("context", "cluster", "user"):
        with pytest.raises(SpecError, match=f"no {kind} 'c'. Its {kind}s: a, b"):
            said(**{kind: "c"})
    with pytest.raises(SpecError, match="none cannot be read: No such file"):
        connect(Target(kubeconfig=tmp_path / "none"))


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
    ("server", "without", "proxied"),
    [
        ("https://api.test", "", True),
        ("https://api.test:6443", "api.test", False),
        ("https://api.test:6443", "api.test:443", True),
        ("https://a.api.test", ".api.test", False),
        ("https://api.test", ".api.test", True),
        ("https://a.api.test", "*.api.test", False),
        ("https://api.test", "*.api.test", True),
        ("https://10.1.2.3:6443", "10.0.0.0/8", False),
        ("https://10.1.2.3:6443", "nonsense/99, 10.0.0.0/8", False),
        ("https://11.1.2.3:6443", "10.0.0.0/8,nonsense", True),
        ("https://api.test", "*", False),
        ("https://127.0.0.1:6443", "", False),
        ("https://[::1]:6443", "", False),
        ("https://localhost", "", False),
        ("http://api.test", "", False),
    ],
)
def test_a_proxy_is_used_by_the_rules_of_go(
    written: Written, monkeypatch: pytest.MonkeyPatch, server: str, without: str, proxied: bool
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "proxy:3128")
    monkeypatch.setenv("NO_PROXY", without)
    written.cluster = {"server": server}
    written.open()
    pool = connect().api.rest_client.pool_manager
    assert (pool.proxy and pool.proxy.url) == ("http://proxy:3128" if proxied else None)


def test_a_password_of_a_proxy_is_decoded(written: Written, plain: int) -> None:
    written.cluster = {"server": "http://api.test", "proxy-url": f"http://me:p%40ss@127.0.0.1:{plain}"}
    assert written.seen()["headers"]["Proxy-Authorization"] == [f"Basic {base64.b64encode(b'me:p@ss').decode()}"]


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


def test_a_proxy_that_is_away_is_named(written: Written) -> None:
    written.cluster = {"server": "https://api.test", "proxy-url": "http://me:secret@127.0.0.1:1"}
    with pytest.raises(TransientError, match=r"through the proxy 127\.0\.0\.1:1 \(Connection refused\)") as caught:
        written.seen()
    assert "secret" not in str(caught.value)


def test_a_kept_connection_that_was_closed_is_opened_again(written: Written) -> None:
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


def test_an_intermediate_authority_is_trusted(secured: Written, authority: trustme.CA) -> None:
    """As in Go; Python wants the root unless it is told."""
    secured.open()
    api = connect().api
    assert isinstance(api, Client)
    flags = api.tls().verify_flags
    assert flags & ssl.VERIFY_X509_PARTIAL_CHAIN
    assert not flags & ssl.VERIFY_X509_STRICT
    assert tls(api.configuration).verify_mode is ssl.CERT_REQUIRED


def test_of_several_files_the_first_word_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = tmp_path / "1" / "config", tmp_path / "2" / "config"
    for path, content in (
        (first, {"contexts": [{"name": "b", "context": {"cluster": "b", "namespace": "mine"}}]}),
        (second, {**config("a"), "clusters": config("a")["clusters"] + config("b")["clusters"]}),
    ):
        path.parent.mkdir()
        path.write_text(yaml.safe_dump(content), "utf-8")
    monkeypatch.setenv("KUBECONFIG", os.pathsep.join(map(str, (first, tmp_path / "none", second))))
    first_choice, other = connect(), connect(Target(context="b"))
    assert (first_choice.context, first_choice.api.configuration.host, first_choice.namespace) == (
        "a",
        "https://a",
        None,
    )
    assert (other.context, other.api.configuration.host, other.namespace) == ("b", "https://b", "mine")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "is not YAML"),
        ("[]\n--- []", "is not YAML"),
        ("yes", "is not a kubeconfig: it needs lists"),
        ("contexts: [1]", "is not a kubeconfig: it needs lists"),
        ("contexts: [{name: a}, {name: a}]", "has two contexts with the name 'a'"),
        ("current-context: a", "has no context 'a'. Its contexts: none"),
        (yaml.safe_dump({**config("a"), "clusters": None}), "has no cluster 'a'"),
        (yaml.safe_dump({**config("a"), "users": []}), "has no user 'a'"),
        (yaml.safe_dump(config("a", cluster={"tls-server-name": "b"})), "the server of its cluster is not an address"),
    ],
)
def test_a_file_that_names_no_cluster_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, words: str
) -> None:
    path = tmp_path / "config"
    path.write_text(text, "utf-8")
    monkeypatch.setenv("KUBECONFIG", str(path))
    with pytest.raises(SpecError, match=words):
        connect()


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.sampled_from(["a", "", "https://a", "exec"]),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(
            st.sampled_from(["name", "cluster", "user", "context", "server", "clusters", "users", "contexts"])
            | st.sampled_from(["current-context", "tokenFile", "exec", "command", "namespace"]),
            inner,
            max_size=4,
        )
    ),
)


@settings(deadline=None)
@given(_VALUES)
def test_any_file_is_a_choice_or_refused(tmp_path_factory: pytest.TempPathFactory, content: Any) -> None:
    path = tmp_path_factory.getbasetemp() / "any-kubeconfig"
    path.write_text(yaml.safe_dump(content), "utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KUBECONFIG", str(path))
        with contextlib.suppress(SpecError):
            assert connect().api.configuration.host


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
    assert _authorization(cluster) == "bearer one"
