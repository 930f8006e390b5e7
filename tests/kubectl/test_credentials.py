"""As whom each request comes: tokens, passwords, certificates, and whom the user acts as."""

import base64
import json
import time
from pathlib import Path
from typing import Any

import pytest

from tests.kubectl.differences import LOOPBACK, OIDC, PROMPT, TOKEN_FILE
from tests.kubectl.server import Answer, Request, status, two_pages
from tests.kubectl.world import TOKEN, Case, judge

PLAIN = {"server": "http://127.0.0.1:<plain-port>"}
BEHIND_PROXY = {"server": "http://api.test:<plain-port>", "proxy-url": "http://<proxy>"}
CERTIFICATE = {"client-certificate-data": "<me-cert>", "client-key-data": "<me-key>"}


def replaced_token(request: Request, names: Any) -> Answer | None:
    """Write another token where the first one was, as soon as that has come."""
    second = Path(names["folder"], f"token-{request.nth}-{id(request)}")
    second.write_text("s3cr3t-second", "utf-8")
    second.rename(second.with_name("token"))
    return two_pages(request, names)


def replaced_between_pages(request: Request, names: Any) -> Answer | None:
    return replaced_token(request, names) if two_pages(request, names) else None


def jwt(*, seconds: float) -> str:
    """Return an ID token that ends in so many seconds."""
    parts = ({"alg": "none"}, {"iss": "https://issuer.test", "exp": int(time.time() + seconds)})
    encoded = [base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts]
    return ".".join([*encoded, "s3cr3t"])


def issuer(request: Request, names: Any) -> Answer | None:
    """Be an OpenID Connect provider, too, which refreshes a token."""
    url = f"https://127.0.0.1:{names['port']}"
    match request.path:
        case "/.well-known/openid-configuration":
            found = {"issuer": url, "token_endpoint": f"{url}/token", "authorization_endpoint": f"{url}/auth"}
            return Answer(body=json.dumps({**found, "jwks_uri": f"{url}/keys"}))
        case "/token":
            found = {"access_token": "s3cr3t-access", "token_type": "Bearer", "id_token": FRESH}
            return Answer(body=json.dumps({**found, "refresh_token": "s3cr3t-next"}))
    return None


FRESH = jwt(seconds=3600)


def oidc(**fields: str) -> dict[str, Any]:
    usual = {"client-id": "kube", "client-secret": "s3cr3t", "idp-issuer-url": "https://127.0.0.1:<port>"}
    return {"auth-provider": {"name": "oidc", "config": {**usual, **fields}}}


CASES = [
    Case(id="a token is sent"),
    Case(id="a number is no token", user={"token": 12345}, works=False),
    Case(id="a token with a newline at its end", user={"token": TOKEN + "\n"}, works=False),
    Case(id="a token with a newline within", user={"token": "s3cr3t\ntoken"}, works=False),
    Case(id="a token that is not ASCII", user={"token": "s3cr3t-töken"}),
    Case(id="a token that is only spaces", user={"token": "  "}),
    Case(
        id="a token comes from a file beside the kubeconfig",
        user={"tokenFile": "pki/token"},
        files={"pki/token": "s3cr3t-filed\n"},
    ),
    Case(
        id="a tokenFile comes before a token",
        user={"token": TOKEN, "tokenFile": "token"},
        files={"token": "s3cr3t-filed"},
    ),
    Case(id="a tokenFile that is missing beside a token", user={"token": TOKEN, "tokenFile": "gone"}),
    Case(
        id="a tokenFile that is empty beside a token", user={"token": TOKEN, "tokenFile": "token"}, files={"token": ""}
    ),
    Case(id="a tokenFile that is missing", user={"tokenFile": "gone"}, works=False),
    Case(id="a tokenFile that is a folder", user={"tokenFile": "token"}, files={"token": None}, works=False),
    Case(id="a tokenFile that is not ASCII", user={"tokenFile": "token"}, files={"token": "s3cr3t-töken"}),
    Case(id="a tokenFile with a newline within", user={"tokenFile": "token"}, files={"token": "s3\ncr3t"}, works=False),
    Case(
        id="a tokenFile that changes is read again",
        user={"tokenFile": "token"},
        files={"token": "s3cr3t-first"},
        answers=replaced_token,
    ),
    Case(
        id="a tokenFile that changes between two pages of a list is read again for the second",
        user={"tokenFile": "token"},
        files={"token": "s3cr3t-first"},
        answers=replaced_between_pages,
        difference=TOKEN_FILE,
    ),
    Case(id="a password is sent", user={"username": "me", "password": "s3cr3t:word"}),
    Case(id="a password that is not ASCII is sent as UTF-8", user={"username": "mé", "password": "s3cr3t-wörd"}),
    Case(id="a user without a password", user={"username": "me"}),
    Case(id="a password without a user", user={"password": "s3cr3t"}, works=False, difference=PROMPT),
    Case(id="a token and a password", user={"token": TOKEN, "username": "me", "password": "s3cr3t"}, works=False),
    Case(
        id="a tokenFile and a password",
        user={"tokenFile": "token", "username": "me", "password": "s3cr3t"},
        files={"token": "s3cr3t-filed"},
        works=False,
    ),
    Case(id="a user without credentials is asked for them", user={}, works=False, difference=PROMPT),
    Case(id="fields that are not known are ignored", user={"token": TOKEN, "colour": "blue"}),
    Case(id="fields that are null are not there", user={"token": TOKEN, "username": None, "exec": None, "as": None}),
    Case(id="a certificate is shown", user=CERTIFICATE),
    Case(
        id="a certificate comes from files",
        user={"client-certificate": "pki/c.pem", "client-key": "<folder>/k.pem"},
        files={"pki/c.pem": "<pem-me-cert>", "k.pem": "<pem-me-key>"},
    ),
    Case(
        id="a certificate from a file with its key in the kubeconfig",
        user={"client-certificate": "c.pem", "client-key-data": "<me-key>"},
        files={"c.pem": "<pem-me-cert>"},
    ),
    Case(
        id="a certificate in both forms",
        user={"client-certificate": "c.pem", **CERTIFICATE},
        files={"c.pem": "<pem-other-cert>"},
        works=False,
    ),
    Case(id="a certificate and a token are both sent", user={"token": TOKEN, **CERTIFICATE}),
    Case(id="a certificate without its key", user={"client-certificate-data": "<me-cert>"}, works=False),
    Case(
        id="a certificate without its key beside a token",
        user={"token": TOKEN, "client-certificate-data": "<me-cert>"},
        works=False,
    ),
    Case(id="a key without a certificate beside a token", user={"token": TOKEN, "client-key-data": "<me-key>"}),
    Case(
        id="a key of another certificate",
        user={"client-certificate-data": "<me-cert>", "client-key-data": "<other-key>"},
        works=False,
    ),
    Case(
        id="an encrypted key",
        user={"client-certificate-data": "<me-cert>", "client-key-data": "<locked-key>"},
        works=False,
    ),
    Case(
        id="an encrypted key in a file",
        user={"client-certificate": "c.pem", "client-key": "k.pem"},
        files={"c.pem": "<pem-me-cert>", "k.pem": "<pem-locked-key>"},
        works=False,
    ),
    Case(
        id="a certificate that is not base64",
        user={"client-certificate-data": "?", "client-key-data": "<me-key>"},
        works=False,
    ),
    Case(
        id="a certificate that is none",
        user={"client-certificate-data": "YQ==", "client-key-data": "<me-key>"},
        works=False,
    ),
    Case(
        id="a file of a certificate that is missing",
        user={"client-certificate": "gone.pem", "client-key-data": "<me-key>"},
        works=False,
    ),
    Case(id="acting as another", user={"token": TOKEN, "as": "robot"}),
    Case(
        id="acting as another, in full",
        user={
            "token": TOKEN,
            "as": "robot",
            "as-uid": "7",
            "as-groups": ["ocr", "night"],
            "as-user-extra": {"Team/No": ["1", "2"], "scopes": ["view"]},
        },
    ),
    Case(id="acting as another whose name is not ASCII", user={"token": TOKEN, "as": "röbot"}),
    Case(id="acting as nobody in a group", user={"token": TOKEN, "as-groups": ["ocr"]}, works=False),
    Case(id="acting as nobody with a uid", user={"token": TOKEN, "as-uid": "7"}, works=False),
    Case(id="acting as nobody with extras", user={"token": TOKEN, "as-user-extra": {"a": ["b"]}}, works=False),
    Case(id="a token is not sent to another machine without TLS", cluster=BEHIND_PROXY),
    Case(id="a token is not sent to this machine without TLS", cluster=PLAIN, difference=LOOPBACK),
    Case(
        id="a token of a file is not sent without TLS",
        cluster=BEHIND_PROXY,
        user={"tokenFile": "token"},
        files={"token": "s3cr3t-filed"},
    ),
    Case(
        id="a password is not sent without TLS",
        cluster=BEHIND_PROXY,
        user={"username": "me", "password": "s3cr3t"},
    ),
    Case(id="acting as another without TLS", cluster=BEHIND_PROXY, user={"token": TOKEN, "as": "robot"}),
    Case(id="without TLS and without credentials", cluster=PLAIN, user={}),
    Case(id="OpenID Connect with a token that holds", user=oidc(**{"id-token": FRESH, "refresh-token": "s3cr3t-r"})),
    Case(
        id="OpenID Connect with a token that is refreshed",
        user=oidc(
            **{"id-token": jwt(seconds=-9), "refresh-token": "s3cr3t-r", "idp-certificate-authority-data": "<ca>"}
        ),
        answers=issuer,
        difference=OIDC,
    ),
    Case(
        id="OpenID Connect with a token that has expired for good",
        user=oidc(**{"id-token": jwt(seconds=-9)}),
        works=False,
        difference=OIDC,
    ),
    Case(id="OpenID Connect without an issuer", user={"auth-provider": {"name": "oidc", "config": {}}}, works=False),
    Case(id="an auth-provider that kubectl gave up", user={"auth-provider": {"name": "gcp"}}, works=False),
    Case(id="an auth-provider that nobody knows", user={"auth-provider": {"name": "own"}}, works=False),
    Case(
        id="credentials that the server rejects",
        answers=lambda *_: status(401, "Unauthorized", "Unauthorized"),
        works=False,
    ),
    Case(
        id="a user without permissions",
        answers=lambda request, _: (
            status(403, "Forbidden", 'jobs.batch is forbidden: User "u" cannot list resource "jobs"')
            if "/namespaces/" in request.path
            else None
        ),
        works=False,
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_credentials_are_those_of_kubectl(case: Case, tmp_path: Path) -> None:
    judge(case, tmp_path)
