"""Programs that log in: what they are told, what is taken of what they print, and when they are refused."""

from pathlib import Path
from typing import Any

import pytest

from tests.kubectl import certificates
from tests.kubectl.login import V1, login
from tests.kubectl.server import Answer, Request, status
from tests.kubectl.world import CLUSTER, TOKEN, Case, judge

BETA = "client.authentication.k8s.io/v1beta1"
CERTIFICATE = {
    "clientCertificateData": certificates.user("me").certificate.decode(),
    "clientKeyData": certificates.user("me").key.decode(),
}


def expires(text: Any) -> dict[str, Any]:
    return {"token": "s3cr3t-login", "expirationTimestamp": text}


def rejects(request: Request, _: Any) -> Answer:
    return status(401, "Unauthorized", "Unauthorized")


CASES = [
    Case(id="a program gives a token", **login()),
    Case(id="a program of v1beta1", **login(apiVersion=BETA, interactiveMode=None)),
    Case(id="a program of v1 that does not say whether it asks", **login(interactiveMode=None), works=False),
    Case(id="a program of v1alpha1", **login(apiVersion="client.authentication.k8s.io/v1alpha1"), works=False),
    Case(id="a program of an API that nobody knows", **login(apiVersion="example.com/v1"), works=False),
    Case(id="a program without an API", **login(apiVersion=None), works=False),
    Case(
        id="a program that prints another API than it was told",
        **login(prints='{"apiVersion":"' + BETA + '","kind":"ExecCredential","status":{"token":"s3cr3t"}}'),
        works=False,
    ),
    Case(id="a program that prints no API", **login(prints='{"status":{"token":"s3cr3t"}}'), works=False),
    Case(
        id="a program has its arguments and variables",
        **login(args=["get-token", "--cluster", "c"], env=[{"name": "OWN", "value": "1"}]),
    ),
    Case(id="a variable without a value is empty", **login(env=[{"name": "OWN"}])),
    Case(id="a variable without a name", **login(env=[{"value": "1"}]), works=False),
    Case(
        id="a program may want to know the cluster",
        **login(provideClusterInfo=True),
        cluster={
            **CLUSTER,
            "tls-server-name": "api.test",
            "extensions": [
                {"name": "client.authentication.k8s.io/exec", "extension": {"audience": "x"}},
                {"name": "other", "extension": {"audience": "y"}},
            ],
        },
    ),
    Case(
        id="a program that knows of the cluster's proxy",
        **login(provideClusterInfo=True),
        cluster={**CLUSTER, "proxy-url": "http://<proxy>"},
    ),
    Case(
        id="a program that knows of an authority in a file",
        user=login(provideClusterInfo=True)["user"],
        files={**login()["files"], "ca.pem": "<pem-ca>"},
        cluster={"server": CLUSTER["server"], "certificate-authority": "ca.pem"},
    ),
    Case(
        id="a program that knows of a cluster without verification",
        **login(provideClusterInfo=True),
        cluster={"server": CLUSTER["server"], "insecure-skip-tls-verify": True},
    ),
    Case(id="a program that must not ask", **login(interactiveMode="Never")),
    Case(id="a program that must ask, without a terminal", **login(interactiveMode="Always"), works=False),
    Case(id="a program that asks in a way that nobody knows", **login(interactiveMode="Often"), works=False),
    Case(id="a program with a closed stdin", **login(), closed_stdin=True),
    Case(id="a program that must not ask, with a closed stdin", **login(interactiveMode="Never"), closed_stdin=True),
    Case(
        id="a program that must ask, with a closed stdin",
        **login(interactiveMode="Always"),
        closed_stdin=True,
        works=False,
    ),
    Case(
        id="a program that must know of a terminal that is missing",
        works=False,
        **login(interactiveMode="Always", stdinUnavailable=True, stdinUnavailableMessage="no terminal"),
    ),
    Case(id="a program that gives a certificate", **login(CERTIFICATE)),
    Case(id="a program that gives a token and a certificate", **login({"token": "s3cr3t-login", **CERTIFICATE})),
    Case(
        id="a program that gives a certificate without its key",
        **login({"clientCertificateData": CERTIFICATE["clientCertificateData"]}),
        works=False,
    ),
    Case(
        id="a program that gives a certificate with another's key",
        works=False,
        **login({**CERTIFICATE, "clientKeyData": certificates.user("other").key.decode()}),
    ),
    Case(id="a program that gives nothing", **login({}), works=False),
    Case(
        id="a program that prints no status",
        **login(prints='{"apiVersion":"' + V1 + '","kind":"ExecCredential"}'),
        works=False,
    ),
    Case(id="a program that prints no JSON", **login(prints="s3cr3t"), works=False),
    Case(id="a program that prints a list", **login(prints="[]"), works=False),
    Case(id="a program that prints nothing", **login(prints=""), works=False),
    Case(id="a program whose token is a number", **login({"token": 7}), works=False),
    Case(id="a program whose token has a newline", **login({"token": "s3cr3t\nlogin"}), works=False),
    Case(id="a program that fails", **login(code=3), works=False),
    Case(
        id="a program that is missing",
        user={
            "exec": {
                "apiVersion": V1,
                "command": "no-such-login",
                "installHint": "Get it\nfrom us.",
                "interactiveMode": "Never",
            }
        },
        works=False,
    ),
    Case(id="a program that is not executable", files={"login": "#!/bin/sh\n"}, user=login()["user"], works=False),
    Case(
        id="a program that is named from the kubeconfig's folder",
        user=login(command="bin/login")["user"],
        files={"bin/login": login()["files"]["login"]},
    ),
    Case(
        id="a program of the PATH",
        user=login(command="own-login")["user"],
        files={"bin/own-login": login()["files"]["login"]},
        env={"PATH": "<folder>/bin:/usr/bin:/bin"},
    ),
    Case(
        id="a program in the current folder is not of the PATH",
        user=login(command="login")["user"],
        files=login()["files"],
        env={"PATH": "/nonexistent"},
        works=False,
    ),
    Case(
        id="a program beside a password: the password is sent", **login(user={"username": "me", "password": "s3cr3t"})
    ),
    Case(id="a program beside a token: the token is sent", **login(user={"token": TOKEN})),
    Case(
        id="a program that gives a token beside a certificate of the kubeconfig",
        **login(user={"client-certificate-data": "<me-cert>", "client-key-data": "<me-key>"}),
    ),
    Case(
        id="a program that gives a certificate beside one of the kubeconfig",
        **login(CERTIFICATE, user={"client-certificate-data": "<other-cert>", "client-key-data": "<other-key>"}),
    ),
    Case(id="a program beside an auth-provider", **login(user={"auth-provider": {"name": "oidc"}}), works=False),
    Case(id="a program that acts as another", **login(user={"as": "robot", "as-groups": ["ocr"]})),
    Case(id="a login until a time", **login(expires("2999-01-01T00:00:00Z"))),
    Case(id="a login until a time with nanoseconds", **login(expires("2999-01-01T00:00:00.123456789Z"))),
    Case(id="a login until a time of another zone", **login(expires("2999-01-01T00:00:00+05:30"))),
    Case(id="a login until a time without a zone", **login(expires("2999-01-01T00:00:00")), works=False),
    Case(id="a login until a day", **login(expires("2999-01-01")), works=False),
    Case(id="a login until no time", **login(expires(None))),
    Case(id="a login until an empty time", **login(expires("")), works=False),
    Case(id="a login until a number", **login(expires(32472144000)), works=False),
    Case(id="a login that has expired", **login(expires("2001-01-01T00:00:00Z"))),
    Case(id="a login that the server rejects", **login(), answers=rejects, works=False),
    Case(
        id="no program runs for a server without TLS",
        **login(),
        cluster={"server": "http://api.test:<plain-port>", "proxy-url": "http://<proxy>"},
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_programs_log_in_as_for_kubectl(case: Case, tmp_path: Path) -> None:
    judge(case, tmp_path)
