"""The way to an API server: the package `kubernetes`, configured as kubectl would be.

The package reads a cluster's entry, passwords and a pod's own account, and holds the connections. Added here is what it
lacks and kubectl has: how files are merged, what is refused, impersonation, tokens and certificates that change, and
which proxy is used. `tests/kubectl` compares both.
"""

import base64
import contextlib
import ipaddress
import os
import re
import ssl
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import SplitResult, quote, unquote, urlsplit

import urllib3
from kubernetes.client import ApiClient, Configuration
from kubernetes.client.rest import RESTClientObject, RESTResponse, should_bypass_proxies
from kubernetes.config import ConfigException, load_incluster_config, load_kube_config_from_dict
from urllib3.util.ssl_ import create_urllib3_context

from jobs.kube.credentials import APIS, CredentialPlugin, read, token_of
from trainer.errors import SpecError
from trainer.formats.yaml import parse_yaml

_CONNECTIONS: Final = 32
"""At once: `watch` holds one for each kind that it follows."""

_NAMESPACE: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
"""A pod's own namespace, which the package does not read."""

_FORMS: Final[Mapping[str, type[Any]]] = {
    "insecure-skip-tls-verify": bool,
    "provideClusterInfo": bool,
    "args": list,
    "env": list,
    "as-groups": list,
    "extensions": list,
    "as-user-extra": dict,
    "auth-provider": dict,
    "config": dict,
    "exec": dict,
}
"""Fields of a kubeconfig's entries that are not text (`kubeconfig.v1` in Kubernetes' reference)."""

_PATHS: Final = ("certificate-authority", "client-certificate", "client-key", "tokenFile")
"""Fields that name a file."""

_MODES: Final = ("IfAvailable", "Always", "Never")
_OLD_MODE: Final = {APIS[1]: "IfAvailable"}
"""interactiveMode of a plugin that names none, in the version where it need not."""

Entry = Mapping[str, Any]
"""An entry of a kubeconfig, without empty values."""


@dataclass(frozen=True, kw_only=True)
class Target:
    """Which API server, and as whom: kubectl's flags of the same names."""

    kubeconfig: Path | None = None
    """None: the files of KUBECONFIG, else ~/.kube/config."""

    context: str | None = None
    """None: the current one."""

    cluster: str | None = None
    user: str | None = None
    server: str | None = None
    """Its address, in place of the cluster's own."""

    impersonate: str | None = None
    groups: tuple[str, ...] = ()


@dataclass(frozen=True)
class Connection:
    """An API client, and what the kubeconfig says beside it."""

    api: ApiClient
    context: str
    """Its name; `in-cluster` for a pod's own account."""

    namespace: str | None


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
        response = self._send(method, url, header_params, body, post_params, _request_timeout)
        if response.status == 401 and self._plugin and self._plugin.forget():
            response.response.close()
            response = self._send(method, url, header_params, body, post_params, _request_timeout)
        return response

    def identity(self) -> list[tuple[str, str]]:
        """Return the headers of the user's token or password, and of impersonation.

        Raises:
            AccessError: the credential plugin failed.
            SpecError: a token cannot be read, or cannot be sent.
        """
        headers = list(_impersonation(self._user))
        if token := self._plugin.login().token if self._plugin else token_of(self._user):
            headers.append(("Authorization", f"Bearer {token}".strip(" ")))
        elif "username" in self._user:
            words = f"{self._user['username']}:{self._user.get('password', '')}"
            headers.append(("Authorization", f"Basic {base64.b64encode(words.encode()).decode()}"))
        if not all(value.isprintable() for _, value in headers):
            raise SpecError("The kubeconfig's user has a line break or a control character in a token or a name.")
        # Python sends Latin-1, and Go what is written.
        return [(key, value.encode().decode("latin-1")) for key, value in headers]

    def tls(self) -> ssl.SSLContext:
        """Return how the server's certificate is checked, with the client certificate.

        Raises:
            AccessError: the credential plugin failed.
            SpecError: a certificate or a key cannot be used.
        """
        context = tls(self.configuration)
        pair = self._plugin.login().certificate if self._plugin else _certificate(self._user)
        if pair:
            _load_certificate(context, *pair)
        return context

    def _send(self, method: str, url: str, headers: Mapping[str, str] | None, *rest: Any) -> RESTResponse:
        complete = urllib3.HTTPHeaderDict(headers or {})
        for key, value in self.identity():
            complete.add(key, value)
        self._renew_connections()
        return super().call_api(method, url, complete, *rest)

    def _renew_connections(self) -> None:
        """Open new connections where a certificate changed: a rotated authority, or a client's that expired."""
        if not self.configuration.host.startswith("https:"):
            return
        paths = [self.configuration.ssl_ca_cert, self._user.get("client-certificate"), self._user.get("client-key")]
        with self._lock:
            certificates = [
                self._plugin.login().certificate if self._plugin else None,
                *(_changed(path) for path in paths if path),
            ]
            if certificates != self._certificates:
                client = RESTClientObject(self.configuration)
                client.pool_manager.connection_pool_kw["ssl_context"] = self.tls()
                self.rest_client, self._certificates = client, certificates


def connect(target: Target | None = None) -> Connection:
    """Choose a cluster and a user as kubectl does, and return a client; no request is sent.

    Raises:
        SpecError: a kubeconfig cannot be used, or nothing names a cluster.
    """
    target = target or Target()
    files = [_load(path) for path in _paths(target)]
    name = target.context or next((current for file in files for current in file["current-context"] if current), None)
    context = _chosen("context", name, files) if name else {}
    cluster = _chosen("cluster", target.cluster or context.get("cluster"), files)
    user = _chosen("user", target.user or context.get("user"), files)
    user = {
        **user,
        **({"as": target.impersonate} if target.impersonate else {}),
        **({"as-groups": list(target.groups)} if target.groups else {}),
    }
    if target.server:  # the name in a certificate is that of the cluster's own address
        cluster = {**cluster, "server": target.server, "tls-server-name": ""}
    if not cluster and not name:
        return _in_cluster(user)
    for wrong in (*_wrong_cluster(cluster), *_wrong_user(user), *_wrong_context(context)):
        chosen = f"The context {name!r} of the kubeconfig" if name else "The cluster of the command line"
        raise SpecError(f"{chosen} cannot be used: {wrong}.")
    return Connection(_client(cluster, user, name or ""), name or cluster["server"], context.get("namespace"))


def open_websocket(api: ApiClient, path: str, *, protocol: str, deadline: float) -> Any:
    """Open a WebSocket to the server; the package's own sends no impersonation, and has no deadline.

    Args:
        api: of this or any other configuration.
        path: with its query.
        protocol: of the messages.
        deadline: seconds for the handshake, and afterwards for each reading.

    Raises:
        AccessError: the credential plugin failed.
        SpecError: the proxy is of another kind, or a certificate or a key cannot be used.
        websocket.WebSocketException: the server does not want it; or an OSError: it does not answer.
    """
    from websocket import create_connection

    configuration = api.configuration
    headers: dict[str, str] = {}
    api.update_params_for_auth(headers, [], ["BearerToken"], path, "GET", None)
    identity = api.identity() if isinstance(api, Client) else []
    options: dict[str, Any] = {"http_no_proxy": ["*"]}  # it would read the environment
    if configuration.host.startswith("https:"):
        context = api.tls() if isinstance(api, Client) else tls(configuration)
        if not configuration.verify_ssl:
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        name = {"server_hostname": configuration.tls_server_name} if configuration.tls_server_name else {}
        options["sslopt"] = {"context": context, **name}
    if (proxy := configuration.proxy) and not should_bypass_proxies(configuration.host, configuration.no_proxy or ""):
        login = urlsplit(proxy)
        if login.scheme != "http":  # it would send the password in clear
            raise SpecError(f"A shell cannot use a proxy of the kind {login.scheme}: use one with http://.")
        options |= {"http_proxy_host": login.hostname, "http_proxy_port": login.port or 80, "http_no_proxy": [""]}
        if login.username:
            options["http_proxy_auth"] = (unquote(login.username), unquote(login.password or ""))
    return create_connection(
        "ws" + configuration.host.removeprefix("http") + path,
        timeout=deadline,
        header=[f"{key}: {value}" for key, value in (*headers.items(), *identity)],
        subprotocols=[protocol],
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
        if configuration.ssl_ca_cert:
            context.load_verify_locations(configuration.ssl_ca_cert)
        else:
            context.load_default_certs()
    except (ssl.SSLError, OSError) as error:
        raise SpecError("The certificate-authority of the cluster is not a certificate.") from error
    return context


def _client(cluster: Entry, user: Entry, context: str) -> Client:
    server = _url(cluster["server"], "server")
    if server.scheme == "http" and not _is_loopback(server.hostname or ""):
        # Anybody on the way could read them; kubectl does not send them, either.
        user = {key: value for key, value in user.items() if key.startswith("as")}
    if provider := user.get("auth-provider"):
        user = {**user, "token": (provider.get("config") or {}).get("id-token") or user.get("token")}
    configuration = Configuration(retries=False, no_proxy="")
    # Credentials and proxies are ours; the package reads the rest of the cluster's entry.
    known = {key: value for key, value in cluster.items() if value and key not in ("proxy-url", "extensions")}
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
    _set_proxy(configuration, server, cluster.get("proxy-url"))
    configuration.connection_pool_maxsize = _CONNECTIONS
    if not configuration.verify_ssl:
        urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
    others = {"token", "tokenFile", "username", "client-certificate", "client-certificate-data"}
    plugin = None
    if "exec" in user and not others & user.keys():
        plugin = CredentialPlugin(user["exec"], cluster, context=context)
    return Client(configuration, user, plugin=plugin)


def _in_cluster(user: Entry) -> Connection:
    configuration = Configuration(retries=False, no_proxy="")
    try:
        load_incluster_config(configuration)
    except ConfigException as error:
        raise SpecError(
            "No cluster to use: no kubeconfig has a current context. Set KUBECONFIG, or run `kubectl config "
            "use-context NAME`."
        ) from error
    _set_proxy(configuration, urlsplit(configuration.host), None)
    configuration.connection_pool_maxsize = _CONNECTIONS
    namespace = read(str(_NAMESPACE)).strip() if _NAMESPACE.is_file() else None
    return Connection(Client(configuration, user, plugin=None), "in-cluster", namespace)


def _paths(target: Target) -> list[Path]:
    if target.kubeconfig:
        return [target.kubeconfig]
    named = os.environ.get("KUBECONFIG") or str(Path.home() / ".kube" / "config")
    return [path for each in named.split(os.pathsep) if each and (path := Path(each)).exists()]


def _load(path: Path) -> dict[str, dict[str, Entry]]:
    """Read the clusters, users and contexts of one file by their names, with paths that are absolute.

    The current context's name is the only key of `current-context`.
    """
    try:
        raw: Any = parse_yaml(path.read_text("utf-8"), source=f"The kubeconfig {path}") or {}
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "it is not text"
        raise SpecError(f"The kubeconfig {path} cannot be read: {why}.") from error
    try:
        if (raw.get("kind") or "Config") != "Config" or (raw.get("apiVersion") or "v1") != "v1":
            raise ValueError("its kind and apiVersion are not Config and v1")
        file: dict[str, dict[str, Entry]] = {"current-context": {str(raw.get("current-context") or ""): {}}}
        for kind in ("cluster", "user", "context"):
            entries: dict[str, Entry] = {}
            file[kind] = entries
            for named in raw.get(f"{kind}s") or ():
                if (name := str(named["name"])) in entries:
                    raise SpecError(f"{path} has two {kind}s with the name {name!r}. Remove one.")
                entries[name] = _fields(named.get(kind) or {}, path.parent)
    except (LookupError, TypeError, AttributeError) as error:
        raise SpecError(f"{path} is not a kubeconfig: it needs lists of clusters, users and contexts.") from error
    except ValueError as error:
        raise SpecError(f"{path} is not a kubeconfig: {error}.") from error
    return file


def _fields(entry: Entry, folder: Path) -> Entry:
    """Return an entry without empty fields, which Kubernetes takes for missing ones.

    Raises:
        ValueError: a field is of another type.
    """
    fields: dict[str, Any] = {}
    for key, value in entry.items():
        form = _FORMS.get(key, str)
        texts = value if key in ("args", "as-groups") else ()
        if value in (None, ""):
            continue
        if type(value) is not form or not all(isinstance(each, str) for each in texts):
            raise ValueError(f"{key} is not of the type {form.__name__}")
        if key in _PATHS or (key == "command" and os.sep in value):
            fields[key] = str(folder / value)
        elif key in ("exec", "auth-provider"):
            fields[key] = _fields(value, folder)
        elif key == "env":
            fields[key] = [{"name": each["name"], "value": each.get("value") or ""} for each in value]
        else:
            fields[key] = value
    return fields


def _chosen(kind: str, name: str | None, files: Sequence[Mapping[str, Mapping[str, Entry]]]) -> Entry:
    """Return the entry with a name; of several files the first that has it."""
    entries: dict[str, Entry] = {}
    for file in reversed(files):
        entries |= file[kind]
    if name and name not in entries:
        known = ", ".join(sorted(entries)) or "none"
        raise SpecError(f"The kubeconfig has no {kind} {name!r}. Its {kind}s: {known}.")
    return entries.get(name or "", {})


def _wrong_cluster(cluster: Entry) -> Iterator[str]:
    """Yield what kubectl refuses, and addresses that are no URL."""
    if not cluster.get("server", "").lower().startswith(("http://", "https://")):
        yield "the server of its cluster is not an address that begins with https://"
    elif any(sign in cluster["server"] for sign in "@?#"):
        yield "the server's address has a user name, a query or a fragment"
    if {"certificate-authority", "certificate-authority-data"} <= cluster.keys():
        yield "its cluster has both certificate-authority and certificate-authority-data"
    if cluster.get("insecure-skip-tls-verify") and any(key.startswith("certificate-authority") for key in cluster):
        yield "its cluster has insecure-skip-tls-verify and a certificate-authority, which exclude each other"
    if (path := cluster.get("certificate-authority")) and not os.access(path, os.R_OK):
        yield f"{path} is not a file that can be read"


def _wrong_user(user: Entry) -> Iterator[str]:
    """Yield what kubectl refuses."""
    if "username" in user and {"token", "tokenFile"} & user.keys():
        yield "its user has both a token and a username"
    for kind in ("client-certificate", "client-key"):
        if {kind, f"{kind}-data"} <= user.keys():
            yield f"its user has both {kind} and {kind}-data"
    certificate, key = (
        any(f"client-{kind}{suffix}" in user for suffix in ("", "-data")) for kind in ("certificate", "key")
    )
    if certificate and not key:
        yield "its user has a client-certificate without a client-key"
    if "as" not in user and {"as-uid", "as-groups", "as-user-extra"} & user.keys():
        yield "its user impersonates a group, a uid or extra fields without a user: `as` (--as) is missing"
    if (name := user.get("auth-provider", {}).get("name")) and name != "oidc":
        yield (
            f"its user has the auth-provider {name!r}, which Kubernetes replaced by credential plugins (`exec`): "
            "create the kubeconfig again with your cloud's tool"
        )
    elif name and "id-token" not in (user["auth-provider"].get("config") or {}):
        yield "the auth-provider oidc of its user has no id-token: log in as for kubectl"
    if (plugin := user.get("exec")) is not None:
        if "auth-provider" in user:
            yield "its user has both an auth-provider and a credential plugin (`exec`)"
        if "command" not in plugin:
            yield "the credential plugin of its user has no command"
        if plugin.get("apiVersion") not in APIS:
            yield (
                f"the API version {plugin.get('apiVersion')!r} of its user's credential plugin is not supported: "
                f"create the kubeconfig again with your cloud's tool, for {APIS[0]}"
            )
        elif plugin.get("interactiveMode", _OLD_MODE.get(plugin["apiVersion"])) not in _MODES:
            yield "the credential plugin of its user needs interactiveMode: IfAvailable, Always or Never"


def _wrong_context(context: Entry) -> Iterator[str]:
    if not re.fullmatch("([a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?)?", context.get("namespace", "")):
        yield f"{context['namespace']!r} is not the name of a namespace"


def _set_proxy(configuration: Configuration, server: SplitResult, proxy: str | None) -> None:
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
    login = _url(proxy, "proxy")
    if login.scheme not in ("http", "https", "socks5", "socks5h") or not login.hostname:
        raise SpecError(
            "The proxy of the cluster is not supported: its address must begin with http://, https:// or socks5://."
        )
    # Go lets the proxy look up the server's name; to urllib3 that is socks5h.
    configuration.proxy = proxy.replace("socks5:", "socks5h:", 1)
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
    return _is_loopback(host) or any(_matches(rule, host, port, address) for rule in listed.lower().split(","))


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


def _url(text: str, what: str) -> SplitResult:
    try:
        parts = urlsplit(text)
        _ = parts.port, parts.hostname
    except ValueError as error:
        raise SpecError(f"The {what} of the cluster is not a valid address: {error}.") from error
    return parts


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


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


def _changed(path: str) -> tuple[str, int]:
    try:
        return path, os.stat(path).st_mtime_ns
    except OSError as error:
        raise SpecError(f"{path}, named in the kubeconfig, cannot be read: {error.strerror}.") from error


def _certificate(user: Entry) -> tuple[str, str] | None:
    pair = []
    for field in ("client-certificate", "client-key"):
        if written := user.get(f"{field}-data"):
            try:
                pair.append(base64.b64decode("".join(written.split()), validate=True).decode())
            except ValueError as error:
                raise SpecError(f"{field}-data of the kubeconfig is not base64-encoded text.") from error
        elif path := user.get(field):
            pair.append(read(path))
    return (pair[0], pair[1]) if len(pair) == 2 else None


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
