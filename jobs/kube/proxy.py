"""Which proxy stands before a server: the cluster's own, else the environment's, by the rules of Go."""

import contextlib
import ipaddress
import os
import re
from urllib.parse import SplitResult, unquote, urlsplit

import urllib3
from kubernetes.client import Configuration

from trainer.errors import SpecError


def set_proxy(configuration: Configuration, server: SplitResult, proxy: str | None) -> None:
    """Set the proxy: the cluster's own, else that of the environment, by Go's rules.

    The package takes HTTP_PROXY for an https server, and sends a password as it is written in the URL.
    """
    configuration.proxy = None
    if not proxy and not _is_direct(server):
        variable = f"{server.scheme}_proxy"
        proxy = os.environ.get(variable.upper()) or os.environ.get(variable)
        proxy = f"http://{proxy}" if proxy and "://" not in proxy else proxy
    if not proxy:
        return
    login = parse_url(proxy, "proxy")
    if login.scheme not in ("http", "https", "socks5", "socks5h"):
        raise SpecError(
            "The proxy of the cluster is not supported: its address must begin with http://, https:// or socks5://."
        )
    # Go lets the proxy look up the server's name; to urllib3 that is socks5h.
    configuration.proxy = login.geturl().replace("socks5:", "socks5h:", 1)
    if login.username and login.scheme in ("http", "https"):
        words = f"{unquote(login.username)}:{unquote(login.password or '')}"
        configuration.proxy_headers = urllib3.make_headers(proxy_basic_auth=words)


def _is_direct(server: SplitResult) -> bool:
    """Check whether NO_PROXY, or being on this machine, keeps a server off the environment's proxy."""
    host, port = server.hostname or "", server.port or {"http": 80, "https": 443}[server.scheme]
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        address = None
    listed = os.environ.get("NO_PROXY") or os.environ.get("no_proxy") or ""
    return is_loopback(host) or any(_matches(rule, host, port, address) for rule in listed.lower().split(","))


def _matches(rule: str, host: str, port: int, address: ipaddress.IPv4Address | ipaddress.IPv6Address | None) -> bool:
    """Check one item of NO_PROXY: `*`, a range, or a host, a domain or an address with or without a port."""
    rule = rule.strip()
    if rule == "*":
        return True
    if address is not None:
        with contextlib.suppress(ValueError):
            return address in ipaddress.ip_network(rule, strict=False)
    name, _, number = rule.rpartition(":") if re.search(r":\d+$", rule) else (rule, "", str(port))
    if number != str(port) or not name:
        return False
    name = name.strip("[]").removeprefix("*")
    if address is not None:
        return name == host
    return host.endswith(name) if name.startswith(".") else host == name or host.endswith(f".{name}")


def parse_url(text: str, what: str) -> SplitResult:
    """Split an address of the cluster's.

    Raises:
        SpecError: it is not valid.
    """
    try:
        parts = urlsplit(text)
        urllib3.util.parse_url(text)  # which will connect to it, and is stricter
        if parts.port == 0 or not parts.hostname:
            raise ValueError
    except ValueError:  # whose text has a part of the password where that has a slash
        hint = " Percent-encode special characters in its password." if "@" in text else ""
        raise SpecError(f"The {what} of the cluster is not a valid address.{hint}") from None
    return parts


def is_loopback(host: str) -> bool:
    """Check whether a host is this machine."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
