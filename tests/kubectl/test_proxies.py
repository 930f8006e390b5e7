"""Which proxy stands before the server, what it is told, and what goes by none."""

from pathlib import Path
from typing import Any

import pytest

from tests.kubectl.differences import SCHEME
from tests.kubectl.world import CLUSTER, Case, judge

NAMED = {**CLUSTER, "server": "https://api.test:<port>"}
ADDRESS = {**CLUSTER, "server": "https://0.0.0.0:<port>"}
"""This machine, but not by an address of which each program knows that no proxy stands before it."""

PLAIN = {"server": "http://api.test:<plain-port>"}
PROXY = "http://<proxy>"


def by_none(without: str, *, cluster: Any = ADDRESS, works: bool = True, **env: str) -> dict[str, Any]:
    """Return the parts of a case with a proxy, and what goes by none. A name that goes by none leads nowhere."""
    return {"cluster": cluster, "works": works, "env": {"HTTPS_PROXY": PROXY, "NO_PROXY": without, **env}}


def plain(**env: str) -> dict[str, Any]:
    """Return the parts of a case without TLS, and so without credentials."""
    return {"cluster": PLAIN, "user": {}, "env": env}


def told(url: str, **cluster: Any) -> dict[str, Any]:
    return {"cluster": {**NAMED, "proxy-url": url, **cluster}}


CASES = [
    Case(id="HTTPS_PROXY", cluster=NAMED, env={"HTTPS_PROXY": PROXY}),
    Case(id="https_proxy", cluster=NAMED, env={"https_proxy": PROXY}),
    Case(
        id="HTTPS_PROXY before https_proxy",
        cluster=NAMED,
        env={"HTTPS_PROXY": PROXY, "https_proxy": "http://<b-proxy>"},
    ),
    Case(id="an empty HTTPS_PROXY beside https_proxy", cluster=NAMED, env={"HTTPS_PROXY": "", "https_proxy": PROXY}),
    Case(id="HTTPS_PROXY without a scheme", cluster=NAMED, env={"HTTPS_PROXY": "<proxy>"}),
    Case(id="HTTPS_PROXY with a slash at its end", cluster=NAMED, env={"HTTPS_PROXY": PROXY + "/"}),
    Case(id="HTTP_PROXY is for servers without TLS", **plain(HTTP_PROXY=PROXY)),
    Case(id="http_proxy is for servers without TLS", **plain(http_proxy=PROXY)),
    Case(id="HTTP_PROXY is not for servers with TLS", cluster=ADDRESS, env={"HTTP_PROXY": PROXY}),
    Case(
        id="HTTPS_PROXY is not for servers without TLS",
        cluster={"server": "http://0.0.0.0:<plain-port>"},
        user={},
        env={"HTTPS_PROXY": PROXY},
    ),
    Case(id="ALL_PROXY is not read", cluster=ADDRESS, env={"ALL_PROXY": PROXY}),
    Case(
        id="a proxy of an unknown kind",
        cluster=NAMED,
        env={"HTTPS_PROXY": "gopher://<proxy>"},
        difference=SCHEME,
    ),
    Case(id="a proxy that is no address", cluster=NAMED, env={"HTTPS_PROXY": "http://me:s3cr3t@["}, works=False),
    Case(
        id="a proxy that is not there", cluster=NAMED, env={"HTTPS_PROXY": "http://me:s3cr3t@127.0.0.1:1"}, works=False
    ),
    Case(id="the proxy's password is sent", cluster=NAMED, env={"HTTPS_PROXY": "http://me:s3cr3t@<proxy>"}),
    Case(
        id="the proxy's password is decoded", cluster=NAMED, env={"HTTPS_PROXY": "http://m%40e:s3cr3t%40%3A%2F@<proxy>"}
    ),
    Case(id="the proxy's password has a colon", cluster=NAMED, env={"HTTPS_PROXY": "http://me:s3cr3t:2@<proxy>"}),
    Case(id="the proxy's user has no password", cluster=NAMED, env={"HTTPS_PROXY": "http://me@<proxy>"}),
    Case(id="a password without a scheme", cluster=NAMED, env={"HTTPS_PROXY": "me:s3cr3t@<proxy>"}),
    Case(
        id="the proxy's password without TLS to the server",
        **plain(HTTP_PROXY="http://me:s3cr3t%40@<proxy>"),
    ),
    Case(id="a proxy with TLS", cluster=NAMED, env={"HTTPS_PROXY": "https://<tls-proxy>"}),
    Case(id="a proxy with TLS and a password", cluster=NAMED, env={"HTTPS_PROXY": "https://me:s3cr3t@<tls-proxy>"}),
    Case(
        id="a proxy with TLS before a server without",
        **plain(HTTP_PROXY="https://<tls-proxy>"),
        works=False,
    ),
    Case(
        id="a proxy with TLS that nobody knows",
        cluster=NAMED,
        env={"HTTPS_PROXY": "https://<other-tls-proxy>"},
        works=False,
    ),
    Case(
        id="a proxy with TLS that nobody knows, without verification",
        cluster={"server": NAMED["server"], "insecure-skip-tls-verify": True},
        env={"HTTPS_PROXY": "https://<other-tls-proxy>"},
    ),
    Case(
        id="a proxy with TLS before a server of another name",
        cluster={**NAMED, "tls-server-name": "a.team.test"},
        env={"HTTPS_PROXY": "https://<tls-proxy>"},
    ),
    Case(
        id="a proxy with TLS, and a certificate of the user",
        cluster=NAMED,
        env={"HTTPS_PROXY": "https://<tls-proxy>"},
        user={"client-certificate-data": "<me-cert>", "client-key-data": "<me-key>"},
    ),
    Case(
        id="the server's address may be one that the proxy alone reaches",
        cluster={**NAMED, "server": "https://a.team.test:<port>"},
        env={"HTTPS_PROXY": PROXY},
    ),
    Case(id="proxy-url", **told(PROXY)),
    Case(id="proxy-url before HTTPS_PROXY", **told(PROXY), env={"HTTPS_PROXY": "http://<b-proxy>"}),
    Case(id="proxy-url in spite of NO_PROXY", **told(PROXY), env={"NO_PROXY": "*"}),
    Case(id="proxy-url to this machine", **told(PROXY, server="https://localhost:<port>")),
    Case(id="proxy-url with a password", **told("http://m%40e:s3cr3t%40@<proxy>")),
    Case(id="proxy-url with TLS", **told("https://me:s3cr3t@<tls-proxy>")),
    Case(id="proxy-url without a scheme", **told("<proxy>"), works=False),
    Case(id="proxy-url of an unknown kind", **told("gopher://me:s3cr3t@<proxy>"), works=False),
    Case(id="proxy-url that is no address", **told("http://me:s3cr3t@["), works=False),
    Case(id="proxy-url of SOCKS", **told("socks5://<socks-proxy>")),
    Case(
        id="HTTPS_PROXY of SOCKS",
        cluster=NAMED,
        env={"HTTPS_PROXY": "socks5://me:s3cr3t@<socks-proxy>"},
    ),
    Case(id="an empty proxy-url", **told("", server=ADDRESS["server"])),
    Case(id="proxy-url of a server without TLS", cluster={**PLAIN, "proxy-url": PROXY}, user={}),
    Case(id="this machine has no proxy before it", cluster=CLUSTER, env={"HTTPS_PROXY": PROXY}),
    Case(
        id="localhost has no proxy before it",
        cluster={**CLUSTER, "server": "https://localhost:<port>"},
        env={"HTTPS_PROXY": PROXY},
    ),
    Case(
        id="this machine without TLS has no proxy before it",
        cluster={"server": "http://127.0.0.1:<plain-port>"},
        user={},
        env={"HTTP_PROXY": PROXY},
    ),
    Case(
        id="this machine's address of IPv6 has no proxy before it",
        cluster={**CLUSTER, "server": "https://[::1]:<ipv6-port>"},
        env={"HTTPS_PROXY": PROXY},
    ),
    Case(id="an address goes by a proxy", **by_none("")),
    Case(id="NO_PROXY with an address", **by_none("0.0.0.0")),
    Case(id="no_proxy with an address", cluster=ADDRESS, env={"HTTPS_PROXY": PROXY, "no_proxy": "0.0.0.0"}),
    Case(id="NO_PROXY before no_proxy", **by_none("10.0.0.1", no_proxy="0.0.0.0")),
    Case(id="NO_PROXY with another address", **by_none("10.0.0.1")),
    Case(id="NO_PROXY with a range", **by_none("0.0.0.0/8")),
    Case(id="NO_PROXY with another range", **by_none("10.0.0.0/8")),
    Case(id="NO_PROXY with a range that begins within", **by_none("0.1.2.3/8")),
    Case(id="NO_PROXY with a range beside a bad item", **by_none("nonsense/8, 0.0.0.0/99,0.0.0.0/8")),
    Case(id="NO_PROXY with a bad range alone", **by_none("0.0.0.0/99")),
    Case(id="NO_PROXY with a star", **by_none("*")),
    Case(id="NO_PROXY with a star among others", **by_none("a.test,*")),
    Case(id="NO_PROXY with spaces and empty items", **by_none(" , a.test ,, 0.0.0.0 ")),
    Case(id="NO_PROXY with spaces alone", **by_none("a.test 0.0.0.0")),
    Case(id="NO_PROXY with the port", **by_none("0.0.0.0:<port>")),
    Case(id="NO_PROXY with another port", **by_none("0.0.0.0:6443")),
    Case(id="NO_PROXY with a part of the address", **by_none("0.0.0")),
    Case(id="NO_PROXY with a name", **by_none("api.test", cluster=NAMED, works=False)),
    Case(id="NO_PROXY with a name in capitals", **by_none("API.Test", cluster=NAMED, works=False)),
    Case(id="NO_PROXY with the name's end", **by_none("test", cluster=NAMED, works=False)),
    Case(id="NO_PROXY with the name's end and a dot", **by_none(".test", cluster=NAMED, works=False)),
    Case(id="NO_PROXY with the name's end and a star", **by_none("*.test", cluster=NAMED, works=False)),
    Case(id="NO_PROXY with the name and its port", **by_none("api.test:<port>", cluster=NAMED, works=False)),
    Case(id="NO_PROXY with the name and another port", **by_none("api.test:6443", cluster=NAMED)),
    Case(id="NO_PROXY with another name", **by_none("other.test", cluster=NAMED)),
    Case(id="NO_PROXY with a part of the name's last word", **by_none("est", cluster=NAMED)),
    Case(id="NO_PROXY with a longer name", **by_none("www.api.test", cluster=NAMED)),
    Case(id="NO_PROXY with a dot before the whole name", **by_none(".api.test", cluster=NAMED)),
    Case(id="NO_PROXY with a star before the whole name", **by_none("*.api.test", cluster=NAMED)),
    Case(id="NO_PROXY with a star within", **by_none("a*.test", cluster=NAMED)),
    Case(
        id="NO_PROXY for a server in capitals",
        **by_none("api.test", cluster={**NAMED, "server": "https://API.TEST:<port>"}, works=False),
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_proxies_are_those_of_kubectl(case: Case, tmp_path: Path) -> None:
    judge(case, tmp_path)
