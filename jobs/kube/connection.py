"""The way to an API server: its connections, and what each request says of the user, as kubectl does it."""

import base64
import os
import ssl
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, urlsplit

from jobs.kube.kubeconfig import Choice, read
from trainer.errors import OcrfleetError, SpecError

if TYPE_CHECKING:
    from urllib3 import PoolManager

    from jobs.kube.login import Login

_CONNECTIONS: Final = 32
"""At once: `watch` holds one for each kind that it follows."""

_QUIET: Final = 10.0
"""Seconds after a failed login in which nobody is asked again: a command that reads several kinds at once would ask for
each."""

_LOCAL: Final = ("localhost", "127.0.0.1", "::1")
"""No proxy stands before these, as in Go."""


class Access:
    """One user's way to one API server."""

    def __init__(self, choice: Choice) -> None:
        """Take the choice; nothing is asked of anybody yet.

        Raises:
            SpecError: it logs in as nobody can any more.
        """
        self.choice = choice
        self._lock = threading.RLock()
        self._login: Login | None = None
        self._refused: tuple[float, OcrfleetError] | None = None
        self._pool: PoolManager | None = None
        if old := choice.user.auth_provider:
            raise SpecError(
                f"The user of context {choice.context!r} uses the auth-provider {old.get('name')!r}, which Kubernetes "
                "replaced by credential plugins (`exec`). Create the kubeconfig again with your cloud's tool."
            )

    def headers(self) -> list[tuple[str, str]]:
        """Return the headers that carry the credentials; a token that changed or expired is read or fetched again.

        Raises:
            AccessError: the program that logs in failed.
            SpecError: a file cannot be read.
        """
        user = self.choice.user
        token = read(user.token_file).strip() if user.token_file else user.token
        if not token and (login := self._logged_in()):
            token = login.token
        found = list[tuple[str, str]]()
        if token:
            found.append(("Authorization", f"Bearer {token}"))
        elif user.username:
            both = f"{user.username}:{user.password or ''}".encode()
            found.append(("Authorization", f"Basic {base64.b64encode(both).decode()}"))
        if user.acts_as:
            found.append(("Impersonate-User", user.acts_as))
        if user.as_uid:
            found.append(("Impersonate-Uid", user.as_uid))
        found += [("Impersonate-Group", each) for each in user.as_groups or ()]
        for key, values in (user.as_user_extra or {}).items():
            found += [(f"Impersonate-Extra-{quote(key.lower(), safe='')}", each) for each in values]
        return found

    def forget(self) -> bool:
        """Forget a login that the server no longer takes, so that the next request has another; whether there was one.

        A login that is seconds old is kept: the server would refuse the next one, too.
        """
        with self._lock:
            if self._login is None or time.monotonic() - self._login.made < _QUIET:
                return False
            self._login = self._pool = None
            return True

    def pool(self) -> "PoolManager":
        """Return the connections to the server.

        Raises:
            AccessError: the program that logs in failed.
            SpecError: a certificate or a key cannot be read.
            OcrfleetError: the package `urllib3` is missing.
        """
        with self._lock:
            if self._login and self._login.over() and self._login.certificate:
                self._pool = None  # it shows a certificate that is over
            if self._pool is None:
                self._pool = self._connect()
            return self._pool

    def websocket(self, path: str, *, protocol: str, deadline: float) -> Any:
        """Open a WebSocket to the server.

        Args:
            path: with its query.
            protocol: what to speak.
            deadline: seconds for the handshake, and afterwards for each reading.

        Raises:
            AccessError: the program that logs in failed.
            SpecError: a certificate or a key cannot be read.
            websocket.WebSocketException: the server does not want it; or an OSError: it does not answer.
        """
        from websocket import create_connection

        options: dict[str, Any] = {}
        if self.choice.server.startswith("https:"):
            name = self.server_name()
            options["sslopt"] = {"context": self.tls(), **({"server_hostname": name} if name else {})}
        # It looks for a proxy, and for what goes by none, where it is not told.
        options["http_no_proxy"] = ["*"]
        if proxy := self.proxy():
            parts = urlsplit(proxy)
            options |= {"http_proxy_host": parts.hostname, "http_proxy_port": parts.port or 80, "http_no_proxy": [""]}
            if parts.username:
                options["http_proxy_auth"] = (parts.username, parts.password or "")
        return create_connection(
            "ws" + self.choice.server.removeprefix("http") + path,
            timeout=deadline,
            header=[f"{key}: {value}" for key, value in self.headers()],
            subprotocols=[protocol],
            **options,
        )

    def tls(self) -> ssl.SSLContext:
        """Return how the server is known, and what certificate it is shown.

        Raises:
            AccessError: the program that logs in failed.
            SpecError: a certificate or a key cannot be read.
        """
        cluster, user = self.choice.cluster, self.choice.user
        try:
            made = ssl.create_default_context(cadata=cluster.authority())
        except (ssl.SSLError, ValueError) as error:
            raise SpecError(
                f"The certificate-authority of context {self.choice.context!r} is not a certificate."
            ) from error
        # Python 3.13 refuses authorities of older clusters, which Go takes.
        made.verify_flags &= ~ssl.VERIFY_X509_STRICT
        if cluster.insecure_skip_tls_verify:
            made.check_hostname, made.verify_mode = False, ssl.CERT_NONE
        shown = user.certificate()
        if shown is None and (login := self._logged_in()):
            shown = login.shown()
        if shown:
            try:
                _show(made, *shown)
            except ssl.SSLError as error:
                raise SpecError(
                    f"The client-certificate of context {self.choice.context!r} is not a certificate, or "
                    "client-key does not match it."
                ) from error
        return made

    def proxy(self) -> str | None:
        """Return the server's proxy: from the kubeconfig, else from HTTPS_PROXY unless NO_PROXY applies."""
        if told := self.choice.cluster.proxy_url:
            return told
        if not any(name.lower().endswith("_proxy") for name in os.environ):
            return None
        from urllib.request import getproxies_environment, proxy_bypass_environment  # type: ignore[attr-defined]

        server, known = urlsplit(self.choice.server), getproxies_environment()
        host = server.hostname or ""
        if host in _LOCAL or proxy_bypass_environment(server.netloc, known) or _in_range(host, known.get("no", "")):
            return None
        return known.get(server.scheme)

    def server_name(self) -> str | None:
        """Return the name that the server's certificate must have, where that is not its address."""
        return self.choice.cluster.tls_server_name

    def _connect(self) -> "PoolManager":
        try:
            import urllib3
        except ImportError as error:
            raise OcrfleetError(
                "The package `urllib3` is not installed. Install it with `pip install 'ocrfleet[cluster]'`."
            ) from error
        options: dict[str, Any] = {"maxsize": _CONNECTIONS}
        if self.choice.server.startswith("https:"):
            options["ssl_context"] = self.tls()
            if name := self.server_name():
                options |= {"server_hostname": name, "assert_hostname": name}
            if self.choice.cluster.insecure_skip_tls_verify:
                options["cert_reqs"] = "CERT_NONE"
                urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
        if (proxy := self.proxy()) is None:
            return urllib3.PoolManager(**options)
        login = urlsplit(proxy)
        if login.scheme not in ("http", "https"):
            where = f"{login.scheme}://{login.hostname}"
            raise SpecError(f"The proxy {where} of the cluster is not an HTTP proxy. Use one that is.")
        known = f"{login.username}:{login.password or ''}" if login.username else None
        return urllib3.ProxyManager(proxy, proxy_headers=urllib3.make_headers(proxy_basic_auth=known), **options)

    def _logged_in(self) -> "Login | None":
        if (program := self.choice.user.exec) is None:
            return None
        from jobs.kube.login import log_in

        with self._lock:
            if self._refused and time.monotonic() - self._refused[0] < _QUIET:
                raise self._refused[1]
            if self._login is None or self._login.over():
                try:
                    self._login = log_in(self.choice, program)
                except OcrfleetError as error:
                    self._refused = time.monotonic(), error
                    raise
            return self._login


def _show(made: ssl.SSLContext, certificate: str, key: str) -> None:
    import tempfile

    # Python reads them from files alone; this one is nobody else's, and gone at once.
    with tempfile.TemporaryDirectory(prefix="ocrfleet-") as folder:
        both = Path(folder, "certificate")
        both.touch(0o600)
        both.write_text(f"{certificate.rstrip()}\n{key.rstrip()}\n", "utf-8")
        made.load_cert_chain(both)


def _in_range(host: str, without: str) -> bool:
    """Check whether an address is in one of NO_PROXY's ranges, such as 10.0.0.0/8."""
    from ipaddress import ip_address, ip_network

    try:
        address = ip_address(host)
        ranges = [ip_network(each.strip(), strict=False) for each in without.split(",") if "/" in each]
    except ValueError:
        return False
    return any(address in each for each in ranges)
