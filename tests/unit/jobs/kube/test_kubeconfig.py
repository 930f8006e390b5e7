"""Which cluster and as whom: what kubeconfig files and flags say, together and each."""

import contextlib
import os
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.kube.client import Cluster
from jobs.kube.connection import connect
from jobs.kube.kinds import POD
from jobs.kube.kubeconfig import Target
from tests.unit.jobs.kube.mirror import Written, _authorization, config
from trainer.errors import SpecError


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
        ({"exec": {"command": "aws", "args": 1}}, "args is not of the type list"),
        ({"exec": {"command": "aws", "args": [1]}}, "args has a value that is not text"),
        ({"exec": {"command": "aws", "env": [{"name": "A", "value": 1}]}}, "env has a value that is not text"),
        ({"as": "me", "as-user-extra": {"team": "ocr"}}, "as-user-extra has a value that is not text"),
        ({"as": "me", "as-user-extra": {"team": [1]}}, "as-user-extra has a value that is not text"),
        ({"auth-provider": {"name": "oidc", "config": {"id-token": 7}}}, "id-token is not of the type str"),
        ({"tokenFile": "a\0b"}, "tokenFile has a null character"),
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
        ({"certificate-authority": "a\0b"}, "certificate-authority has a null character"),
        ({"server": "https://"}, "server of the cluster is not a valid address"),
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


def test_a_cluster_that_only_a_flag_names_is_checked(tmp_path: Path) -> None:
    content = {**config("a", cluster={"server": "api.test:6443"}), "current-context": ""}
    (path := tmp_path / "config").write_text(yaml.safe_dump(content), "utf-8")
    with pytest.raises(SpecError, match=r"^The cluster of the command line cannot be used: .* begins with https://"):
        connect(Target(kubeconfig=path, cluster="a"))


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
        ("[" * 10_000, "config is not a kubeconfig: it is nested too deeply.$"),
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


@pytest.mark.parametrize("password", ["*Sesame1", "!Sesame1", "98765432109876543210", "1e999"])
def test_a_password_without_quotes_is_not_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, password: str) -> None:
    path = tmp_path / "config"
    path.write_text(f"users:\n- name: a\n  user:\n    password: {password}\n", "utf-8")
    monkeypatch.setenv("KUBECONFIG", str(path))
    with pytest.raises(SpecError, match=r"config:4:15 is not YAML\. Put values with special characters in") as caught:
        connect()
    assert password.lstrip("*!") not in str(caught.value)
    assert caught.value.__suppress_context__, "--debug would show it"


def test_a_kubeconfig_may_have_a_thousand_clusters(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    every = [config(f"c{number}", user={"token": "t"}, namespace="ocr") for number in range(1000)]
    merged = {kind: [each[kind][0] for each in every] for kind in ("clusters", "contexts", "users")}
    (path := tmp_path / "config").write_text(yaml.dump(merged, Dumper=yaml.CSafeDumper), "utf-8")
    monkeypatch.setenv("KUBECONFIG", str(path))
    assert connect(Target(context="c999")).api.configuration.host == "https://c999"


def test_a_path_that_cannot_be_a_file_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", "/" + "a" * 5000)
    with pytest.raises(SpecError, match="cannot be read: File name too long"):
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
