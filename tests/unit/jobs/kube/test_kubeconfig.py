"""Which cluster and as whom: what kubeconfig files say, together and each."""

import contextlib
import os
from pathlib import Path
from typing import Any

import pytest
import trustme
import yaml
from hypothesis import given
from hypothesis import strategies as st

from jobs.kube import kubeconfig
from jobs.kube.client import Cluster
from jobs.kube.kubeconfig import Choice
from tests.unit.jobs.kube.mirror import _authorization, config
from trainer.errors import SpecError


def test_of_several_files_the_first_word_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = tmp_path / "1" / "config", tmp_path / "2" / "config"
    for path, content in (
        (first, {"contexts": [{"name": "b", "context": {"cluster": "b", "namespace": "mine"}}]}),
        (second, {**config("a"), "clusters": config("a")["clusters"] + config("b")["clusters"]}),
    ):
        path.parent.mkdir()
        path.write_text(yaml.safe_dump(content), "utf-8")
    monkeypatch.setenv("KUBECONFIG", os.pathsep.join(map(str, (first, tmp_path / "none", second))))
    assert kubeconfig.choose() == Choice("a", kubeconfig.Server("https://a"))
    assert kubeconfig.choose("b") == Choice("b", kubeconfig.Server("https://b"), namespace="mine")


def test_paths_begin_at_the_folder_of_their_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = {"command": "./bin/login", "apiVersion": "client.authentication.k8s.io/v1"}
    content = config(
        cluster={"server": "https://a", "certificate-authority": "pki/ca.crt"},
        user={"tokenFile": "token", "client-certificate": "../c", "client-key": "/k", "exec": program},
    )
    path = tmp_path / "config"
    path.write_text(yaml.safe_dump(content), "utf-8")
    monkeypatch.setenv("KUBECONFIG", str(path))
    found = kubeconfig.choose()
    assert found.cluster.certificate_authority == f"{tmp_path}/pki/ca.crt"
    user = found.user
    assert (user.token_file, user.client_certificate, user.client_key, user.exec and user.exec.command) == (
        f"{tmp_path}/token",
        f"{tmp_path}/../c",
        "/k",
        f"{tmp_path}/bin/login",
    )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "cannot be read: while parsing"),
        ("[]\n--- []", "cannot be read"),
        ("no", "is not a kubeconfig: Expected `object`, got `bool`"),
        ("contexts: [1]", r"is not a kubeconfig: Expected `object`, got `int` - at `\$\.contexts\[0\]`"),
        ("current-context: a", "has no context 'a'. Its contexts: none"),
        (yaml.safe_dump({**config("a"), "clusters": None}), "it has no cluster 'a'"),
        (yaml.safe_dump({**config("a"), "users": []}), "it has no user 'a'"),
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
        kubeconfig.choose()


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


@given(_VALUES)
def test_any_file_is_a_choice_or_refused(tmp_path_factory: pytest.TempPathFactory, content: Any) -> None:
    path = tmp_path_factory.getbasetemp() / "any-kubeconfig"
    path.write_text(yaml.safe_dump(content), "utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KUBECONFIG", str(path))
        with contextlib.suppress(SpecError):
            assert kubeconfig.choose().server


def test_a_pod_has_its_own_account(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, secure: int, authority: trustme.CA
) -> None:
    for name, text in (("token", "one"), ("namespace", "team-ocr\n")):
        (tmp_path / name).write_text(text, "utf-8")
    authority.cert_pem.write_to_path(tmp_path / "ca.crt")
    monkeypatch.setattr(kubeconfig, "ACCOUNT", tmp_path)
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "localhost")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", str(secure))
    cluster = Cluster(deadline=5)
    assert (cluster.context, cluster.namespace) == ("in-cluster", "team-ocr")
    assert _authorization(cluster) == "Bearer one"
    (tmp_path / "token").write_text("two\n", "utf-8")  # the kubelet renews it
    assert _authorization(cluster) == "Bearer two"
