"""Which cluster and as whom: kubeconfig files, logins, certificates and proxies, told by a server that answers."""

import base64
import contextlib
import json
import os
import ssl
import stat
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import trustme
import yaml
from hypothesis import given
from hypothesis import strategies as st

from jobs.kube import kubeconfig
from jobs.kube.client import Cluster
from jobs.kube.connection import Access
from jobs.kube.kinds import POD
from jobs.kube.kubeconfig import Choice
from trainer.errors import AccessError, SpecError, TransientError


class _Mirror(BaseHTTPRequestHandler):
    """Tells whoever asks what it was asked."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *_: Any) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        if self.headers["Authorization"] == "Bearer over":
            self.send_error(401)
            return
        shown = self.connection.getpeercert() if isinstance(self.connection, ssl.SSLSocket) else None
        names = {key: value for part in (shown or {}).get("subject", ()) for key, value in part}
        said = {key.title(): self.headers.get_all(key) for key in self.headers}
        body = json.dumps({"path": self.path, "headers": said, "shown": names.get("organizationalUnitName")}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def _serving(server: ThreadingHTTPServer) -> Iterator[int]:
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def secure(authority: trustme.CA) -> Iterator[int]:
    """A server with a certificate for `localhost` and `api.test`, that looks at its users' own."""
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost", "api.test").configure_cert(tls)
    authority.configure_trust(tls)
    tls.verify_mode = ssl.CERT_OPTIONAL
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Mirror)
    server.socket = tls.wrap_socket(server.socket, server_side=True)
    yield from _serving(server)


@pytest.fixture(scope="module")
def plain() -> Iterator[int]:
    yield from _serving(ThreadingHTTPServer(("127.0.0.1", 0), _Mirror))


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [each for each in os.environ if each.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)


class Written:
    """A kubeconfig of one context `c`, and what its user reads through it."""

    def __init__(self, path: Path) -> None:
        self.path, self.cluster, self.user = path, dict[str, Any](), dict[str, Any]()

    def open(self) -> Cluster:
        self.path.write_text(yaml.safe_dump(config(cluster=self.cluster, user=self.user)), "utf-8")
        return Cluster(deadline=5)

    def seen(self) -> Any:
        return self.open().get(POD, "a")


def config(name: str = "c", *, cluster: Any = None, user: Any = None, **context: str) -> dict[str, Any]:
    return {
        "current-context": name,
        "contexts": [{"name": name, "context": {"cluster": name, "user": name, **context}}],
        "clusters": [{"name": name, "cluster": cluster or {"server": f"https://{name}"}}],
        "users": [{"name": name, "user": user or {}}],
    }


@pytest.fixture
def written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, plain: int) -> Written:
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "config"))
    made = Written(tmp_path / "config")
    made.cluster = {"server": f"http://localhost:{plain}/"}
    return made


def text_of(pem: trustme.Blob) -> str:
    return base64.b64encode(pem.bytes()).decode()


# -- files -------------------------------------------------------------------------------------------------------------


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


def _authorization(cluster: Cluster) -> str | None:
    found = cluster.get(POD, "a")
    assert found
    said: dict[str, list[str]] = found["headers"]
    return said.get("Authorization", [None])[0]  # type: ignore[list-item]


# -- who asks ----------------------------------------------------------------------------------------------------------


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


# -- certificates ------------------------------------------------------------------------------------------------------


@pytest.fixture
def secured(written: Written, secure: int, authority: trustme.CA) -> Written:
    written.cluster = {
        "server": f"https://localhost:{secure}",
        "certificate-authority-data": text_of(authority.cert_pem),
    }
    return written


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


# -- programs that log in ----------------------------------------------------------------------------------------------

_PROGRAM = """\
#!{python}
import json, os, pathlib, sys
told = json.loads(os.environ["KUBERNETES_EXEC_INFO"])
runs = pathlib.Path(__file__).with_name("runs")
with runs.open("a") as file:
    print(json.dumps([told, sys.argv[1:], os.environ.get("OWN")]), file=file)
status = json.loads(pathlib.Path(__file__).with_name("status").read_text())
if status is None:
    sys.exit("your session is over")
print(json.dumps({{"apiVersion": told["apiVersion"], "kind": "ExecCredential", "status": status}}))
"""


class Program:
    """A program that logs in, and a cluster's user who has it."""

    def __init__(self, folder: Path, written: Written) -> None:
        self.folder, self.path = folder, folder / "login"
        self.path.write_text(_PROGRAM.format(python=sys.executable), "utf-8")
        self.path.chmod(self.path.stat().st_mode | stat.S_IXUSR)
        self.told: dict[str, Any] = {"apiVersion": "client.authentication.k8s.io/v1", "command": "./login"}
        written.user = {"exec": self.told}

    def gives(self, status: Any) -> None:
        (self.folder / "status").write_text(json.dumps(status), "utf-8")

    def runs(self) -> list[Any]:
        return [json.loads(line) for line in (self.folder / "runs").read_text("utf-8").splitlines()]


@pytest.fixture
def login(written: Written, tmp_path: Path) -> Program:
    return Program(tmp_path, written)


def test_a_program_logs_in_once_and_again_when_that_is_over(written: Written, login: Program) -> None:
    login.told |= {"args": ["get-token", "--cluster", "c"], "env": [{"name": "OWN", "value": "1"}]}
    login.gives({"token": "first"})
    cluster = written.open()
    assert [_authorization(cluster) for _ in range(3)] == ["Bearer first"] * 3
    assert [each[1:] for each in login.runs()] == [[["get-token", "--cluster", "c"], "1"]]
    soon = datetime.now(UTC) + timedelta(seconds=5)
    login.gives({"token": "second", "expirationTimestamp": soon.isoformat().replace("+00:00", "Z")})
    cluster = written.open()
    assert [_authorization(cluster) for _ in range(2)] == ["Bearer second"] * 2
    assert len(login.runs()) == 3


def test_a_program_may_want_to_know_the_cluster(
    written: Written, login: Program, secure: int, authority: trustme.CA
) -> None:
    login.gives({"token": "t"})
    extension = {"name": "client.authentication.k8s.io/exec", "extension": {"audience": "x"}}
    written.cluster = {
        "server": f"https://localhost:{secure}",
        "certificate-authority-data": text_of(authority.cert_pem),
        "extensions": [extension],
    }
    assert written.seen()
    login.told["provideClusterInfo"] = True
    assert written.seen()
    without, full = (each[0]["spec"] for each in login.runs())
    assert without == {"interactive": False}
    assert full == {
        "interactive": False,
        "cluster": {
            "server": f"https://localhost:{secure}",
            "certificate-authority-data": text_of(authority.cert_pem),
            "config": {"audience": "x"},
        },
    }


def test_a_program_may_give_certificates_and_new_ones_when_they_are_over(
    secured: Written, login: Program, authority: trustme.CA, monkeypatch: pytest.MonkeyPatch
) -> None:
    def give(name: str, hours: float) -> None:
        mine = authority.issue_cert(f"{name}@team", organization_unit_name=name)
        login.gives(
            {
                "clientCertificateData": mine.cert_chain_pems[0].bytes().decode(),
                "clientKeyData": mine.private_key_pem.bytes().decode(),
                "expirationTimestamp": (datetime.now(UTC) + timedelta(hours=hours)).isoformat(),
            }
        )

    give("first", 1)
    cluster = secured.open()
    first = cluster.get(POD, "a")
    monkeypatch.setattr("jobs.kube.login._EARLY", timedelta(hours=2))
    give("second", 3)
    second = cluster.get(POD, "a")
    assert first
    assert second
    assert (first["shown"], second["shown"], len(login.runs())) == ("first", "second", 2)


@pytest.mark.parametrize(
    ("change", "status", "error", "words"),
    [
        ({}, None, AccessError, r"ended with code 1\. Log in again"),
        (
            {"command": "no-such-login", "installHint": "Get it\nfrom us."},
            {},
            AccessError,
            r"No such file.*\. Get it from us\.",
        ),
        (
            {"apiVersion": "client.authentication.k8s.io/v1alpha1"},
            {},
            SpecError,
            "whose API version '.*v1alpha1' is not supported",
        ),
        ({"interactiveMode": "Always"}, {}, AccessError, "needs a terminal: run this command in one"),
        ({}, {}, SpecError, "printed an empty credential"),
        ({}, [], SpecError, "printed no credential"),
        ({}, {"token": "t", "expirationTimestamp": "soon"}, SpecError, "printed no credential"),
    ],
)
def test_a_program_that_does_not_log_in_is_named(
    written: Written, login: Program, change: Any, status: Any, error: type[Exception], words: str
) -> None:
    login.told |= change
    login.gives(status)
    with pytest.raises(error, match=words):
        written.seen()


def test_a_login_that_failed_is_not_asked_for_by_each_of_those_who_wait(written: Written, login: Program) -> None:
    login.gives(None)
    cluster = written.open()
    with ThreadPoolExecutor(4) as pool:
        errors = [each.exception() for each in [pool.submit(cluster.get, POD, "a") for _ in range(4)]]
    assert [type(each) for each in errors] == [AccessError] * 4
    assert len(login.runs()) == 1


def test_a_login_that_the_server_no_longer_takes_is_made_anew_once(
    written: Written, login: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    login.gives({"token": "over"})
    cluster = written.open()
    with pytest.raises(AccessError, match="rejects your credentials"):
        cluster.get(POD, "a")
    assert len(login.runs()) == 1, "it was new, and another would fare no better"
    monkeypatch.setattr("jobs.kube.connection._QUIET", -1.0)
    login.gives({"token": "new"})
    assert _authorization(cluster) == "Bearer new"
    login.gives({"token": "over"})
    cluster = written.open()
    with pytest.raises(AccessError, match="rejects your credentials"):
        cluster.get(POD, "a")
    assert len(login.runs()) == 4


# -- proxies -----------------------------------------------------------------------------------------------------------


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
