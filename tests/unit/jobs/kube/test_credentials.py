"""Credential plugins: run once, again when the credential expired, and named when they fail."""

import json
import stat
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import trustme

from jobs.kube.connection import connect
from jobs.kube.kinds import POD
from tests.unit.jobs.kube.mirror import Written, _authorization, text_of
from trainer.errors import AccessError, SpecError

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
        self.told: dict[str, Any] = {
            "apiVersion": "client.authentication.k8s.io/v1",
            "command": "./login",
            "interactiveMode": "IfAvailable",
        }
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
    monkeypatch.setattr("jobs.kube.credentials._EARLY", timedelta(hours=2))
    give("second", 3)
    second = cluster.get(POD, "a")
    assert first
    assert second
    assert (first["shown"], second["shown"], len(login.runs())) == ("first", "second", 2)


@pytest.mark.parametrize(
    ("change", "status", "error", "words"),
    [
        ({}, None, AccessError, r"The credential plugin '.*/login' of context 'c' ended with code 1\. Log in again"),
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
            "the API version '.*v1alpha1' of its user's credential plugin is not supported",
        ),
        ({"interactiveMode": "Always"}, {}, AccessError, "needs a terminal\\. Run this command in one"),
        ({}, {}, SpecError, "printed an empty credential"),
        ({}, [], SpecError, "printed no valid credential"),
        ({}, {"token": "t", "expirationTimestamp": "soon"}, SpecError, "printed no valid credential"),
        ({}, {"token": "t", "expirationTimestamp": "2030-01-01T00:00:00"}, SpecError, "printed no valid credential"),
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


def test_a_rejected_login_is_renewed_once_for_all_threads(
    written: Written, login: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jobs.kube.credentials._QUIET", -1.0)
    login.gives({"token": "first"})
    written.open()
    plugin = connect().api._plugin
    rejected = plugin.login()
    login.gives({"token": "second"})
    monkeypatch.setattr("jobs.kube.credentials._QUIET", 10.0)
    rejected = plugin._login = replace(rejected, made=rejected.made - 60)
    with ThreadPoolExecutor(4) as pool:
        again = list(pool.map(lambda _: (plugin.discard(rejected), plugin.login().token), range(4)))
    assert again == [(True, "second")] * 4
    assert len(login.runs()) == 2
    assert not plugin.discard(plugin.login()), "it is new"


def test_a_program_runs_once_for_a_request_even_if_its_login_expired_at_once(secured: Written, login: Program) -> None:
    """As with a clock that is ahead of the cloud's."""
    login.gives({"token": "t", "expirationTimestamp": "2020-01-01T00:00:00Z"})
    cluster = secured.open()
    assert [_authorization(cluster) for _ in range(2)] == ["Bearer t"] * 2
    assert len(login.runs()) == 2


def test_a_login_without_an_end_may_have_the_first_moment_as_its_end(written: Written, login: Program) -> None:
    """Go writes a time that is not set so."""
    login.gives({"token": "t", "expirationTimestamp": "0001-01-01T00:00:00Z"})
    cluster = written.open()
    assert [_authorization(cluster) for _ in range(2)] == ["Bearer t"] * 2


def test_a_login_that_the_server_no_longer_takes_is_made_anew_once(
    written: Written, login: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    login.gives({"token": "over"})
    cluster = written.open()
    with pytest.raises(AccessError, match="rejects your credentials"):
        cluster.get(POD, "a")
    assert len(login.runs()) == 1, "it was new, and another would fare no better"
    monkeypatch.setattr("jobs.kube.credentials._QUIET", -1.0)
    login.gives({"token": "new"})
    assert _authorization(cluster) == "Bearer new"
    login.gives({"token": "over"})
    cluster = written.open()
    with pytest.raises(AccessError, match="rejects your credentials"):
        cluster.get(POD, "a")
    assert len(login.runs()) == 4
