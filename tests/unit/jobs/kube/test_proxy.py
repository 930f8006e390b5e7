"""Which proxy stands before a server; tests/kubectl compares the rest with kubectl."""

import base64

import pytest

from jobs.kube.connection import connect
from tests.unit.jobs.kube.mirror import Written
from trainer.errors import TransientError


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


def test_a_proxy_that_is_away_is_named(written: Written) -> None:
    written.cluster = {"server": "https://api.test", "proxy-url": "http://me:secret@127.0.0.1:1"}
    with pytest.raises(TransientError, match=r"through the proxy 127\.0\.0\.1:1 \(Connection refused\)") as caught:
        written.seen()
    assert "secret" not in str(caught.value)
