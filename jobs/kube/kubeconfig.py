"""Which cluster, as whom: kubeconfig files and kubectl's flags, merged and refused as kubectl does.

Source: Kubernetes' documentation, "Organizing Cluster Access Using kubeconfig Files", and its reference
`kubeconfig.v1`.
"""

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from trainer.errors import SpecError
from trainer.formats.yaml import parse_yaml

_APIS: Final = ("client.authentication.k8s.io/v1", "client.authentication.k8s.io/v1beta1")
"""Versions of the API of credential plugins."""

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

_VALUES: Final = 1_000_000
"""The most values in a kubeconfig: one of a thousand clusters has some 40,000."""

_MODES: Final = ("IfAvailable", "Always", "Never")
_OLD_MODE: Final = {_APIS[1]: "IfAvailable"}
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
class Choice:
    """What a context and the flags name."""

    context: str
    """Its name; empty where the flags alone name a cluster."""

    cluster: Entry
    user: Entry
    namespace: str | None


def choose(target: Target) -> Choice:
    """Return the chosen entries; without a cluster where nothing names one.

    Raises:
        SpecError: a kubeconfig cannot be used, or it has no such entry.
    """
    files = [_load(path) for path in _paths(target)]
    name = target.context or next((current for file in files for current in file["current-context"] if current), "")
    context = _chosen("context", name, files) if name else {}
    cluster = _chosen("cluster", target.cluster or context.get("cluster"), files)
    user = {
        **_chosen("user", target.user or context.get("user"), files),
        **({"as": target.impersonate} if target.impersonate else {}),
        **({"as-groups": list(target.groups)} if target.groups else {}),
    }
    if target.server:  # the name in the certificate is that of the cluster's own address
        cluster = {key: value for key, value in cluster.items() if key != "tls-server-name"} | {"server": target.server}
    if name or cluster:
        for wrong in (*_wrong_cluster(cluster), *_wrong_user(user), *_wrong_context(context)):
            chosen = f"The context {name!r} of the kubeconfig" if name else "The cluster of the command line"
            raise SpecError(f"{chosen} cannot be used: {wrong}.")
    return Choice(name, cluster, user, context.get("namespace"))


def _paths(target: Target) -> list[Path]:
    if target.kubeconfig:
        return [target.kubeconfig]
    named = os.environ.get("KUBECONFIG") or os.path.expanduser("~/.kube/config")
    return [path for each in named.split(os.pathsep) if each and _exists(path := Path(each))]


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # such as a folder that this user may not enter: reading the file says so
        return True


def _load(path: Path) -> dict[str, dict[str, Entry]]:
    """Read the clusters, users and contexts of one file by their names, with paths that are absolute.

    The current context's name is the only key of `current-context`.
    """
    try:
        raw: Any = parse_yaml(path.read_text("utf-8"), source=f"The kubeconfig {path}", most=_VALUES) or {}
    except SpecError as error:
        # What is not YAML may be a password without quotes: show the place alone, with --debug, too.
        place, wrong, _ = str(error).partition(" is not YAML: ")
        if not wrong:
            raise SpecError(f"{path} is not a kubeconfig: it is nested too deeply.") from None
        raise SpecError(f"{place} is not YAML. Put values with special characters in quotes.") from None
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
        if value in (None, ""):
            continue
        if type(value) is not form:
            raise ValueError(f"{key} is not of the type {form.__name__}")
        if not all(isinstance(each, str) for each in _texts(key, value)):
            raise ValueError(f"{key} has a value that is not text")
        if form is str and "\0" in value:
            raise ValueError(f"{key} has a null character")
        if key in _PATHS or (key == "command" and os.sep in value):
            fields[key] = str(folder / value)
        elif key in ("exec", "auth-provider", "config"):
            fields[key] = _fields(value, folder)
        elif key == "env":
            fields[key] = [{"name": each["name"], "value": each.get("value") or ""} for each in value]
        else:
            fields[key] = value
    return fields


def _texts(key: str, value: Any) -> Iterator[Any]:
    """Yield the parts of a field that must be text."""
    match key:
        case "args" | "as-groups":
            yield from value
        case "env":
            yield from (part for each in value for part in (each["name"], each.get("value") or ""))
        case "as-user-extra":
            yield from (each for values in value.values() for each in (values if isinstance(values, list) else [None]))


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
        if plugin.get("apiVersion") not in _APIS:
            yield (
                f"the API version {plugin.get('apiVersion')!r} of its user's credential plugin is not supported: "
                f"create the kubeconfig again with your cloud's tool, for {_APIS[0]}"
            )
        elif plugin.get("interactiveMode", _OLD_MODE.get(plugin["apiVersion"])) not in _MODES:
            yield "the credential plugin of its user needs interactiveMode: IfAvailable, Always or Never"


def _wrong_context(context: Entry) -> Iterator[str]:
    if not re.fullmatch("([a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?)?", context.get("namespace", "")):
        yield f"{context['namespace']!r} is not the name of a namespace"
