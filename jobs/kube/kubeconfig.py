"""Which cluster, and as whom: kubeconfig files as kubectl reads them, or a pod's own account.

The files' form is that of `kubectl config view` (`kubeconfig.v1` in Kubernetes' reference); how several are merged is
told in its documentation, "Organizing Cluster Access Using kubeconfig Files".
"""

import base64
import binascii
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec
import yaml
from msgspec import Struct

from trainer.errors import SpecError

ACCOUNT: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount")
"""Where a pod finds who it is."""


class Server(Struct, frozen=True, rename="kebab"):
    """How to know a server."""

    server: str = ""
    certificate_authority: str | None = None
    certificate_authority_data: str | None = None
    insecure_skip_tls_verify: bool = False
    tls_server_name: str | None = None
    proxy_url: str | None = None
    extensions: list[dict[str, Any]] | None = None

    def authority(self) -> str | None:
        """Return the certificate of who signs the server's; None: any that this machine trusts.

        Raises:
            SpecError: it cannot be read.
        """
        return _content("certificate-authority", self.certificate_authority_data, self.certificate_authority)


class Variable(Struct, frozen=True):
    """A variable of a program's environment."""

    name: str
    value: str


class Program(Struct, frozen=True, rename="camel"):
    """A program that logs in."""

    command: str
    api_version: str
    args: list[str] | None = None
    env: list[Variable] | None = None
    install_hint: str | None = None
    provide_cluster_info: bool = False
    interactive_mode: str | None = None


class User(Struct, frozen=True, rename="kebab"):
    """How a server knows a user."""

    token: str | None = None
    token_file: str | None = msgspec.field(default=None, name="tokenFile")
    username: str | None = None
    password: str | None = None
    client_certificate: str | None = None
    client_certificate_data: str | None = None
    client_key: str | None = None
    client_key_data: str | None = None
    exec: Program | None = None
    auth_provider: dict[str, Any] | None = None
    acts_as: str | None = msgspec.field(default=None, name="as")
    as_uid: str | None = None
    as_groups: list[str] | None = None
    as_user_extra: dict[str, list[str]] | None = None

    def certificate(self) -> tuple[str, str] | None:
        """Return the user's certificate and its key.

        Raises:
            SpecError: they cannot be read.
        """
        shown = _content("client-certificate", self.client_certificate_data, self.client_certificate)
        key = _content("client-key", self.client_key_data, self.client_key)
        return (shown, key) if shown and key else None


class Context(Struct, frozen=True):
    """A cluster, one of its users, and where that one works."""

    cluster: str = ""
    user: str = ""
    namespace: str | None = None


class Choice(Struct, frozen=True):
    """What a context names."""

    context: str
    """Its name; a pod's own is `in-cluster`."""

    cluster: Server
    user: User = User()
    namespace: str | None = None

    @property
    def server(self) -> str:
        """Return the API server's address."""
        return self.cluster.server.rstrip("/")


def choose(context: str | None = None) -> Choice:
    """Return what a context names: of the kubeconfig files, or without any in a pod that pod's own account.

    Args:
        context: None: the current one.

    Raises:
        SpecError: there is no such context, it names what is not there, or nothing names a cluster.
    """
    files = [_load(path) for path in _paths()]
    name = context or next((each.current_context for each in files if each.current_context), None)
    if not name:
        return _in_cluster()
    contexts = _merged(each.contexts for each in files)
    if name not in contexts:
        known = ", ".join(sorted(contexts)) or "none"
        raise SpecError(f"The kubeconfig has no context {name!r}. Its contexts: {known}.")
    chosen = contexts[name].context or Context()
    clusters, users = _merged(each.clusters for each in files), _merged(each.users for each in files)
    for kind, wanted, known_ones in (("cluster", chosen.cluster, clusters), ("user", chosen.user, users)):
        if wanted not in known_ones and (wanted or kind == "cluster"):
            raise _useless(name, f"it has no {kind} {wanted!r}")
    cluster = clusters[chosen.cluster].cluster or Server()
    if not cluster.server.startswith(("http://", "https://")):
        raise _useless(name, "the server of its cluster is not an address that begins with https://")
    user = users[chosen.user].user if chosen.user else None
    return Choice(name, cluster, user or User(), chosen.namespace or None)


def read(path: str) -> str:
    """Read a file that a kubeconfig names.

    Raises:
        SpecError: it cannot be read.
    """
    try:
        return Path(path).read_text("utf-8")
    except (OSError, ValueError) as error:
        raise SpecError(f"{path}, named in the kubeconfig, cannot be read: {_why(error)}.") from error


class _NamedCluster(Struct):
    name: str
    cluster: Server | None = None


class _NamedUser(Struct):
    name: str
    user: User | None = None


class _NamedContext(Struct):
    name: str
    context: Context | None = None


class _File(Struct, rename="kebab"):
    current_context: str | None = None
    clusters: list[_NamedCluster] | None = None
    users: list[_NamedUser] | None = None
    contexts: list[_NamedContext] | None = None


_Entry = TypeVar("_Entry", _NamedCluster, _NamedUser, _NamedContext)


def _paths() -> list[Path]:
    named = [Path(each) for each in os.environ.get("KUBECONFIG", "").split(os.pathsep) if each]
    return [each for each in named or [Path.home() / ".kube" / "config"] if each.exists()]


def _load(path: Path) -> _File:
    try:
        with path.open("rb") as file:
            raw = yaml.load(file, getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise SpecError(f"The kubeconfig {path} cannot be read: {_why(error)}.") from error
    try:
        found = msgspec.convert({} if raw is None else raw, _File)
    except msgspec.ValidationError as error:
        raise SpecError(f"{path} is not a kubeconfig: {error}.") from error
    # Paths begin at the folder of their file.
    for cluster in found.clusters or ():
        cluster.cluster = _moved(cluster.cluster, path.parent, "certificate_authority")
    for user in found.users or ():
        user.user = _moved(user.user, path.parent, "client_certificate", "client_key", "token_file")
        if user.user and user.user.exec and os.sep in user.user.exec.command:
            program = _moved(user.user.exec, path.parent, "command")
            user.user = msgspec.structs.replace(user.user, exec=program)
    return found


_Fields = TypeVar("_Fields", Server, User, Program)


def _moved(fields: _Fields | None, folder: Path, *names: str) -> _Fields | None:
    paths = {name: str(folder / path) for name in names if (path := getattr(fields, name, None))}
    return msgspec.structs.replace(fields, **paths) if fields and paths else fields


def _merged(parts: Iterable[list[_Entry] | None]) -> Mapping[str, _Entry]:
    """Join the entries of several files; of two with one name the first is taken."""
    found: dict[str, _Entry] = {}
    for part in parts:
        for each in part or ():
            found.setdefault(each.name, each)
    return found


def _useless(context: str, why: str) -> SpecError:
    return SpecError(f"The context {context!r} of the kubeconfig cannot be used: {why}.")


def _in_cluster() -> Choice:
    host, port = (os.environ.get(f"KUBERNETES_SERVICE_{each}") for each in ("HOST", "PORT"))
    token, authority, namespace = (ACCOUNT / each for each in ("token", "ca.crt", "namespace"))
    if not (host and port and token.is_file()):
        raise SpecError(
            "No cluster to use: no kubeconfig has a current context. Set KUBECONFIG, or run `kubectl config "
            "use-context NAME`."
        )
    server = f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}"
    return Choice(
        "in-cluster",
        Server(server=server, certificate_authority=str(authority)),
        User(token_file=str(token)),
        read(str(namespace)).strip() if namespace.is_file() else None,
    )


def _content(what: str, written: str | None, path: str | None) -> str | None:
    """Return the text that is written in the kubeconfig, else that of the file which it names."""
    if written:
        try:
            return base64.b64decode(written, validate=True).decode()
        except (binascii.Error, ValueError) as error:
            raise SpecError(f"{what}-data of the kubeconfig is not base64-encoded text.") from error
    return read(path) if path else None


def _why(error: Exception) -> str:
    return getattr(error, "strerror", None) or " ".join(str(error).split())
