"""The way to an API server: the package `kubernetes`, configured as kubectl would be.

The package reads a cluster's entry and a pod's own account, and holds the connections. Added here is what it lacks and
kubectl has: impersonation, tokens and certificates that change, and no credentials in clear. `tests/kubectl` compares
both.
"""

import base64
import copy
import os
import shlex
import ssl
import tempfile
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, unquote, urlsplit

import urllib3
from kubernetes.client import ApiClient as ApiClient  # for jobs.library
from kubernetes.client import Configuration
from kubernetes.client.rest import RESTClientObject, RESTResponse
from kubernetes.config import (
    ConfigException,
    incluster_config,
    load_incluster_config,
    load_kube_config_from_dict,
)
from urllib3.util.ssl_ import create_urllib3_context

from jobs.kube.credentials import CredentialPlugin, Login, read, token_of
from jobs.kube.kubeconfig import Entry, Target, choose
from jobs.kube.proxy import is_loopback, parse_url, set_proxy
from trainer.errors import SpecError

_CONNECTIONS: Final = 32
"""At once: `watch` holds one for each kind that it follows."""

_NAMESPACE: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
"""A pod's own namespace, which the package does not read."""


@dataclass(frozen=True)
class Connection:
    """An API client, and what the kubeconfig says beside it."""

    api: ApiClient
    context: str
    """Its name; `in-cluster` for a pod's own account. The server's address where no context is used."""

    namespace: str | None
    kubectl: str = "kubectl"
    """The command that uses the same context, for messages."""


class Client(ApiClient):  # type: ignore[misc]  # mypy would read some thousand models
    """The package's client, with tokens and certificates that change, and impersonation."""

    def __init__(self, configuration: Configuration, user: Entry, *, plugin: CredentialPlugin | None) -> None:
        """Make a client; no request is sent, and no program is run.

        Args:
            configuration: the server, its proxy, and a password or a pod's account.
            user: the kubeconfig's entry: token, certificate and impersonation.
            plugin: the user's credential plugin, where that logs in.
        """
        super().__init__(configuration)
        self.user_agent = "ocrfleet"
        self._user, self._plugin = user, plugin
        self._lock = threading.Lock()
        self._certificates: object = None
        self._token: str | None = None

    def call_api(
        self,
        method: str,
        url: str,
        header_params: Mapping[str, str] | None = None,
        body: Any = None,
        post_params: Any = None,
        _request_timeout: Any = None,
    ) -> RESTResponse:
        """Send a request; a plugin's credential that the server rejects is renewed once.

        Raises:
            AccessError: the credential plugin failed.
            SpecError: a token, a certificate or a key cannot be used.
        """
        rest = (body, post_params, _request_timeout)
        login = self.login()
        response = self._send(login, method, url, header_params, *rest)
        if response.status == 401 and self._plugin and login and self._plugin.discard(login):
            response.response.close()
            response = self._send(self.login(), method, url, header_params, *rest)
        return response

    def login(self) -> Login | None:
        """Return the plugin's credential, for one request; None if the user has no plugin.

        Raises:
            AccessError: the plugin failed.
            SpecError: it printed no credential.
        """
        return self._plugin.login() if self._plugin else None

    def identity(self, login: Login | None) -> list[tuple[str, str]]:
        """Return the headers of the user's token or password, and of impersonation.

        Raises:
            SpecError: a token cannot be read, or cannot be sent.
        """
        headers = list(_impersonation(self._user))
        if login:
            token = login.token
        else:
            token = self._token = token_of(self._user, self._token)
        if token:
            headers.append(("Authorization", f"Bearer {token}".strip(" ")))
        elif "username" in self._user:
            words = f"{self._user['username']}:{self._user.get('password', '')}"
            headers.append(("Authorization", f"Basic {base64.b64encode(words.encode()).decode()}"))
        if not all(value.isprintable() for _, value in headers):
            raise SpecError("The kubeconfig's user has a line break or a control character in a token or a name.")
        return headers

    def tls(self, login: Login | None) -> ssl.SSLContext:
        """Return how the server's certificate is checked, with the client certificate.

        Raises:
            SpecError: a certificate or a key cannot be used.
        """
        context = tls(self.configuration)
        pair = login.certificate if login else _certificate(self._user)
        if pair:
            _load_certificate(context, *pair)
        return context

    def _send(
        self, login: Login | None, method: str, url: str, headers: Mapping[str, str] | None, *rest: Any
    ) -> RESTResponse:
        complete = urllib3.HTTPHeaderDict(headers or {})
        for key, value in self.identity(login):
            complete.add(key, value.encode().decode("latin-1"))  # http.client encodes in Latin-1, Go in UTF-8
        self._renew_connections(login)
        return super().call_api(method, url, complete, *rest)

    def _renew_connections(self, login: Login | None) -> None:
        """Open new connections where a certificate changed: a rotated authority, or a client's that expired."""
        if not self.configuration.host.startswith("https:"):
            return
        paths = [self.configuration.ssl_ca_cert, self._user.get("client-certificate"), self._user.get("client-key")]
        with self._lock:
            certificates = [
                login.certificate if login else None,
                *(_changed(path) for path in paths if path),
            ]
            if certificates == self._certificates:
                return
            try:
                context = self.tls(login)
            except SpecError:
                if self._certificates is None:
                    raise
                return  # a certificate is replaced, and its key not yet: the next request tries again
            client = RESTClientObject(self.configuration)
            client.pool_manager.connection_pool_kw["ssl_context"] = context
            self.rest_client, self._certificates = client, certificates


def connect(target: Target | None = None) -> Connection:
    """Choose a cluster and a user as kubectl does, and return a client; no request is sent.

    Raises:
        SpecError: a kubeconfig cannot be used, or nothing names a cluster.
    """
    choice = choose(target or Target())
    if not choice.cluster:
        return _in_cluster(choice.user)
    api = _client(choice.cluster, choice.user, choice.context)
    if not choice.context:
        return Connection(api, api.configuration.host, choice.namespace)
    kubectl = f"kubectl --context {shlex.quote(choice.context)}"
    return Connection(api, choice.context, choice.namespace, kubectl)


def borrow(api: ApiClient) -> Connection:
    """Return a connection that uses the settings of a client from elsewhere, but repeats and redirects nothing.

    urllib3 would do so by itself, up to four times and for hours, whatever the deadline.
    """
    own = copy.copy(api)
    own.configuration = copy.copy(api.configuration)
    own.configuration.retries = False
    own.rest_client = RESTClientObject(own.configuration)
    return Connection(own, own.configuration.host, None)


def open_websocket(api: Client, path: str, *, protocol: str, deadline: float) -> Any:
    """Open a WebSocket to the server; the package's own sends no impersonation, and has no deadline.

    Args:
        api: the client of a kubeconfig or a pod's account.
        path: with its query.
        protocol: of the messages.
        deadline: seconds for the handshake, and afterwards for each reading.

    Raises:
        AccessError: the credential plugin failed.
        SpecError: the proxy is of another kind, or a certificate or a key cannot be used.
        websocket.WebSocketException: the server refuses it, or redirects elsewhere.
        OSError: the server does not answer.
        ValueError: its name cannot be looked up.
    """
    from websocket import create_connection

    configuration = api.configuration
    login = api.login()
    options: dict[str, Any] = {"http_no_proxy": ["*"]}  # it would read the environment
    if configuration.host.startswith("https:"):
        context = api.tls(login)
        if not configuration.verify_ssl:
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        name = {"server_hostname": configuration.tls_server_name} if configuration.tls_server_name else {}
        options["sslopt"] = {"context": context, **name}
    if configuration.proxy:
        proxy = urlsplit(configuration.proxy)
        if proxy.scheme != "http":  # it would send the password in clear
            raise SpecError(f"A shell cannot use a proxy of the kind {proxy.scheme}: use one with http://.")
        options |= {"http_proxy_host": proxy.hostname, "http_proxy_port": proxy.port or 80, "http_no_proxy": [""]}
        if proxy.username:
            options["http_proxy_auth"] = (unquote(proxy.username), unquote(proxy.password or ""))
    return create_connection(
        "ws" + configuration.host.removeprefix("http") + path,
        timeout=deadline,
        header=[f"{key}: {value}" for key, value in api.identity(login)],
        subprotocols=[protocol],
        redirect_limit=0,  # it would send the credentials to any host that a redirect names
        **options,
    )


def tls(configuration: Configuration) -> ssl.SSLContext:
    """Return how a server's certificate is checked.

    Raises:
        SpecError: the authority's certificate cannot be read.
    """
    context = create_urllib3_context(cert_reqs=ssl.CERT_REQUIRED if configuration.verify_ssl else ssl.CERT_NONE)
    # Go trusts an intermediate authority, and authorities without the extensions that Python 3.13 demands.
    context.verify_flags = (context.verify_flags | ssl.VERIFY_X509_PARTIAL_CHAIN) & ~ssl.VERIFY_X509_STRICT
    try:
        if configuration.ssl_ca_cert or configuration.ca_cert_data:
            context.load_verify_locations(configuration.ssl_ca_cert, cadata=configuration.ca_cert_data)
        else:
            context.load_default_certs()
    except (ssl.SSLError, OSError) as error:
        raise SpecError("The certificate-authority of the cluster is not a certificate.") from error
    return context


def _configuration() -> Configuration:
    configuration = Configuration(retries=False, no_proxy="")
    configuration.connection_pool_maxsize = _CONNECTIONS
    configuration.keep_alive = True  # `logs -f` waits forever, and must notice a server that was cut off
    return configuration


def _client(cluster: Entry, user: Entry, context: str) -> Client:
    server = parse_url(cluster["server"], "server")
    if server.scheme == "http" and ("proxy-url" in cluster or not is_loopback(server.hostname or "")):
        # Anybody on the way could read them; kubectl does not send them, either.
        user = {key: value for key, value in user.items() if key.startswith("as")}
    if provider := user.get("auth-provider"):
        user = {**user, "token": (provider.get("config") or {}).get("id-token") or user.get("token")}
    configuration = _configuration()
    # Credentials and proxies are ours; the package reads the rest of the cluster's entry. It would write the authority
    # to a temporary file, for which a pod may have no place, and which may be deleted while `watch` runs for days.
    ours = ("proxy-url", "extensions", "certificate-authority-data")
    known = {key: value for key, value in cluster.items() if value and key not in ours}
    try:
        load_kube_config_from_dict(
            {
                "current-context": "c",
                "contexts": [{"name": "c", "context": {"cluster": "c", "user": "c"}}],
                "clusters": [{"name": "c", "cluster": {**known, "server": server.geturl()}}],
                "users": [{"name": "c", "user": {}}],
            },
            client_configuration=configuration,
        )
    except (ConfigException, ValueError) as error:
        raise SpecError(f"The kubeconfig cannot be used: {error}.") from error
    configuration.ca_cert_data = _data(cluster, "certificate-authority")
    set_proxy(configuration, server, cluster.get("proxy-url"))
    if not configuration.verify_ssl:
        urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
    others = {"token", "tokenFile", "username", "client-certificate", "client-certificate-data"}
    plugin = None
    if "exec" in user and not others & user.keys():
        plugin = CredentialPlugin(user["exec"], cluster, context=context)
    return Client(configuration, user, plugin=plugin)


def _in_cluster(user: Entry) -> Connection:
    configuration = _configuration()
    try:
        load_incluster_config(configuration, try_refresh_token=False)
    except ConfigException as error:
        raise SpecError(
            "No cluster to use: no kubeconfig has a current context. Set KUBECONFIG, or run `kubectl config "
            "use-context NAME`."
        ) from error
    configuration.api_key.clear()  # the file is read for each request: the kubelet renews it
    user = {**user, "tokenFile": incluster_config.SERVICE_TOKEN_FILENAME}
    set_proxy(configuration, urlsplit(configuration.host), None)
    namespace = read(str(_NAMESPACE)).strip() if _NAMESPACE.is_file() else None
    return Connection(Client(configuration, user, plugin=None), "in-cluster", namespace)


def _impersonation(user: Entry) -> Iterator[tuple[str, str]]:
    if "as" in user:
        yield "Impersonate-User", user["as"]
    if "as-uid" in user:
        yield "Impersonate-Uid", user["as-uid"]
    for group in user.get("as-groups", ()):
        yield "Impersonate-Group", group
    for key, values in user.get("as-user-extra", {}).items():
        for value in values:
            yield f"Impersonate-Extra-{quote(key.lower(), safe='')}", value


def _changed(path: str) -> tuple[str, int | None]:
    """Return when a file was written; None if that is unknown: reading it says why."""
    try:
        return path, os.stat(path).st_mtime_ns
    except (OSError, ValueError):
        return path, None


def _certificate(user: Entry) -> tuple[str, str] | None:
    pair = []
    for field in ("client-certificate", "client-key"):
        if data := _data(user, field):
            pair.append(data)
        elif path := user.get(field):
            pair.append(read(path))
    return (pair[0], pair[1]) if len(pair) == 2 else None


def _data(entry: Entry, field: str) -> str | None:
    """Return a certificate or a key that is written in the kubeconfig itself."""
    try:
        data = base64.b64decode("".join(entry.get(f"{field}-data", "").split()), validate=True)
    except ValueError as error:
        raise SpecError(f"{field}-data of the kubeconfig is not base64-encoded text.") from error
    return data.decode("ascii", "ignore") or None  # PEM is ASCII; comments beside it need not be


def _load_certificate(context: ssl.SSLContext, certificate: str, key: str) -> None:
    # Python reads them from files alone; this one is nobody else's, and removed at once.
    with tempfile.TemporaryDirectory(prefix="ocrfleet-") as folder:
        both = Path(folder, "certificate")
        both.touch(0o600)
        both.write_text(f"{certificate.rstrip()}\n{key.rstrip()}\n", "utf-8")
        try:
            context.load_cert_chain(both, password="")  # an encrypted key is an error, not a question
        except ssl.SSLError as error:
            raise SpecError(
                "The client-certificate of the kubeconfig is not a certificate, or client-key is encrypted or does not "
                "match it."
            ) from error
