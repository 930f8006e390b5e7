"""By what the server is known: authorities, names, and without verification."""

from pathlib import Path
from typing import Any

import pytest

from tests.kubectl import certificates
from tests.kubectl.differences import NO_SCHEME
from tests.kubectl.server import PREFIX, Answer, Request, two_pages
from tests.kubectl.world import CLUSTER, Case, Link, judge

SERVER = CLUSTER["server"]


def known(authority: str = "<ca>", *, port: str = "<port>", host: str = "127.0.0.1", **fields: Any) -> dict[str, Any]:
    data = {"certificate-authority-data": authority} if authority else {}
    return {"cluster": {"server": f"https://{host}:{port}", **data, **fields}}


def changes_authority(request: Request, names: Any) -> Answer | None:
    """Have the certificate of another authority from the first request on, and close each connection."""
    names.reload(certificates.server("other"))
    answer = two_pages(request, names)
    return Answer(answer.status, answer.body, closes=True) if answer else Answer(body="{}", closes=True)


CASES = [
    Case(id="an authority in the kubeconfig", **known()),
    Case(
        id="an authority in a file",
        files={"pki/ca.pem": "<pem-ca>"},
        cluster={"server": SERVER, "certificate-authority": "pki/ca.pem"},
    ),
    Case(
        id="an authority in a file behind a link",
        files={"real.pem": "<pem-ca>", "ca.pem": Link("real.pem")},
        cluster={"server": SERVER, "certificate-authority": "<folder>/ca.pem"},
    ),
    Case(
        id="an authority in both",
        files={"ca.pem": "<pem-ca>"},
        **known(**{"certificate-authority": "ca.pem"}),
        works=False,
    ),
    Case(
        id="a file of an authority that is missing",
        cluster={"server": SERVER, "certificate-authority": "gone"},
        works=False,
    ),
    Case(
        id="a file of an authority that is a folder",
        files={"ca": None},
        cluster={"server": SERVER, "certificate-authority": "ca"},
        works=False,
    ),
    Case(
        id="a file of an authority that is empty",
        files={"ca": ""},
        cluster={"server": SERVER, "certificate-authority": "ca"},
        works=False,
    ),
    Case(
        id="a file of an authority that is none",
        files={"ca": "none"},
        cluster={"server": SERVER, "certificate-authority": "ca"},
        works=False,
    ),
    Case(id="an authority that is not base64", **known("?"), works=False),
    Case(id="an authority that is none", **known("YQ=="), works=False),
    Case(id="base64 in lines", **known("<lines-ca>")),
    Case(
        id="several authorities",
        files={"ca.pem": "<pem-ca-other>\n# a comment\n<pem-ca>"},
        cluster={"server": SERVER, "certificate-authority": "ca.pem"},
    ),
    Case(id="another authority", **known("<ca-other>"), works=False),
    Case(id="no authority", **known(""), works=False),
    Case(
        id="an authority that this machine trusts",
        files={"ca.pem": "<pem-ca>"},
        **known(""),
        env={"SSL_CERT_FILE": "<folder>/ca.pem", "SSL_CERT_DIR": "/nonexistent"},
    ),
    Case(
        id="an authority that this machine trusts beside another in the kubeconfig",
        files={"ca.pem": "<pem-ca>"},
        **known("<ca-other>"),
        env={"SSL_CERT_FILE": "<folder>/ca.pem"},
        works=False,
    ),
    Case(id="an intermediate authority", **known("<ca-intermediate>", port="<intermediate-port>")),
    Case(
        id="the root of an intermediate authority that the server does not send",
        **known(port="<intermediate-port>"),
        works=False,
    ),
    Case(id="the server's own certificate as authority", **known("<server>")),
    Case(id="a certificate that has expired", **known(port="<expired-port>"), works=False),
    Case(
        id="a certificate that has expired, without verification",
        **known("", port="<expired-port>", **{"insecure-skip-tls-verify": True}),
    ),
    Case(id="a certificate of another name", **known(port="<misnamed-port>"), works=False),
    Case(
        id="tls-server-name with the certificate's name",
        **known(port="<misnamed-port>", **{"tls-server-name": "elsewhere.test"}),
    ),
    Case(id="tls-server-name with another name", **known(**{"tls-server-name": "other.test"}), works=False),
    Case(id="tls-server-name with one of the names", **known(**{"tls-server-name": "api.test"})),
    Case(id="tls-server-name with an address", **known(**{"tls-server-name": "0.0.0.0"})),
    Case(
        id="tls-server-name without verification",
        **known("", **{"tls-server-name": "other.test", "insecure-skip-tls-verify": True}),
    ),
    Case(id="without verification", **known("", port="<other-port>", **{"insecure-skip-tls-verify": True})),
    Case(id="without verification, with an authority", **known(**{"insecure-skip-tls-verify": True}), works=False),
    Case(
        id="without verification, with an authority in a file",
        files={"ca.pem": "<pem-ca>"},
        works=False,
        cluster={"server": SERVER, "insecure-skip-tls-verify": True, "certificate-authority": "ca.pem"},
    ),
    Case(id="without verification: false", **known(**{"insecure-skip-tls-verify": False})),
    Case(id="without verification: a word", **known(**{"insecure-skip-tls-verify": "true"}), works=False),
    Case(id="a server by its name", **known(host="localhost")),
    Case(id="a server by an address of IPv6", **known(host="[::1]", port="<ipv6-port>")),
    Case(id="a server with a slash at its end", cluster={**CLUSTER, "server": SERVER + "/"}),
    Case(id="a server below a path", cluster={**CLUSTER, "server": SERVER + PREFIX}),
    Case(id="a server below a path with a slash", cluster={**CLUSTER, "server": SERVER + PREFIX + "/"}),
    Case(id="a server with a scheme in capitals", cluster={**CLUSTER, "server": "HTTPS://127.0.0.1:<port>"}),
    Case(id="a server with spaces", cluster={**CLUSTER, "server": SERVER + " "}, works=False),
    Case(id="a server of another scheme", cluster={**CLUSTER, "server": "ftp://127.0.0.1:<port>"}, works=False),
    Case(id="a server with a port that is none", cluster={**CLUSTER, "server": "https://127.0.0.1:port"}, works=False),
    Case(
        id="a server without a scheme is asked without TLS",
        cluster={"server": "127.0.0.1:<plain-port>"},
        difference=NO_SCHEME,
    ),
    Case(id="a server without TLS, asked with it", **known(port="<plain-port>"), works=False),
    Case(id="a server that changes its authority", answers=changes_authority, works=False),
    Case(id="a server that is not there", **known(port="1"), works=False),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_servers_are_known_as_to_kubectl(case: Case, tmp_path: Path) -> None:
    judge(case, tmp_path)
