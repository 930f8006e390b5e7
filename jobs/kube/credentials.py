"""Credentials of a kubeconfig's user that are fetched when a command runs: credential plugins (`exec`) and token files.

Source: Kubernetes' documentation, "Authentication", section "client-go credential plugins".
"""

import base64
import json
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
from kubernetes.config.exec_provider import ExecProvider
from kubernetes.config.kube_config import ConfigNode

from trainer.errors import AccessError, OcrfleetError, SpecError
from trainer.formats import typed_json

_EXTENSION: Final = "client.authentication.k8s.io/exec"
"""The cluster's extension that is passed to plugins."""

_EARLY: Final = timedelta(seconds=10)
"""A credential is renewed this long before it expires."""

_QUIET: Final = 10.0
"""Seconds in which a plugin is not run again, after a failure or when the server rejects its credential. A command that
reads several kinds at once would otherwise ask the user several times."""


class _Status(msgspec.Struct, rename="camel"):
    token: str | None = None
    client_certificate_data: str | None = None
    client_key_data: str | None = None
    expiration_timestamp: Annotated[datetime, msgspec.Meta(tz=True)] | None = None


class _Credential(msgspec.Struct, rename="camel"):
    api_version: str
    status: _Status


@dataclass(frozen=True)
class Login:
    """What a plugin printed: a token, a certificate with its key, or both."""

    token: str | None
    certificate: tuple[str, str] | None
    """Certificate and key, as PEM."""

    expires: datetime | None
    made: float
    """By the monotonic clock."""

    def expired(self) -> bool:
        """Check whether it is time for another."""
        return self.expires is not None and self.expires < datetime.now(UTC) + _EARLY


class CredentialPlugin(ExecProvider):  # type: ignore[misc]  # the package is not followed by mypy
    """The package's provider, run as kubectl runs it.

    The package lets standard output decide whether a user can be asked, hides what the program writes to standard error
    unless that is a terminal, and cannot renew certificates.
    """

    def __init__(self, entry: Mapping[str, Any], cluster: Mapping[str, Any], *, context: str) -> None:
        """Read the user's `exec` entry; the program does not run yet.

        Args:
            entry: without null values.
            cluster: the cluster's entry, for plugins that ask for it.
            context: for messages.
        """
        super().__init__(ConfigNode("exec", entry), None, ConfigNode("cluster", cluster))
        self._entry, self._context = entry, context
        self._lock = threading.RLock()
        self._login: Login | None = None
        self._failure: tuple[float, OcrfleetError] | None = None

    def login(self) -> Login:
        """Return a credential that has not expired; runs the program if there is none.

        Raises:
            AccessError: the program is missing, or it failed.
            SpecError: it printed no credential.
        """
        with self._lock:
            if self._failure and time.monotonic() - self._failure[0] < _QUIET:
                raise self._failure[1]
            if self._login is None or self._login.expired():
                try:
                    self._login = self._read(self.run())
                except OcrfleetError as error:
                    self._failure = time.monotonic(), error
                    raise
            return self._login

    def discard(self, rejected: Login) -> bool:
        """Discard a credential that the server rejected, unless it is new; return whether to try with another.

        Another thread may have discarded it first.
        """
        with self._lock:
            if self._login is rejected:
                if time.monotonic() - rejected.made < _QUIET:
                    return False
                self._login = None
            return True

    def run(self, previous_response: object = None) -> bytes:
        """Run the program and return its output; it may ask the user, and writes its messages, on the terminal."""
        terminal = sys.stdin is not None and sys.stdin.isatty()
        mode = self._entry.get("interactiveMode", "IfAvailable")
        if mode == "Always" and not terminal:
            raise AccessError(f"{self._name} needs a terminal. Run this command in one.")
        interactive = terminal and mode != "Never"
        spec = {"interactive": interactive, **({"cluster": _described(self.cluster.value)} if self.cluster else {})}
        request = {"apiVersion": self.api_version, "kind": "ExecCredential", "spec": spec}
        try:
            done = subprocess.run(
                self.args,
                env={**self.env, "KUBERNETES_EXEC_INFO": json.dumps(request)},
                stdin=None if interactive else subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                check=False,
            )
        except (OSError, ValueError) as error:
            hint = " ".join(self._entry.get("installHint", "Install it, or fix the PATH.").split())
            raise AccessError(
                f"{self._name} cannot run: {getattr(error, 'strerror', None) or error}. {hint}"
            ) from error
        if done.returncode:
            raise AccessError(f"{self._name} ended with code {done.returncode}. Log in again as for kubectl.")
        return done.stdout

    @property
    def _name(self) -> str:
        return f"The credential plugin {self.args[0]!r} of context {self._context!r}"

    def _read(self, printed: bytes) -> Login:
        try:
            credential = typed_json.decode(printed, _Credential)
        except ValueError as error:
            raise SpecError(f"{self._name} printed no valid credential: {error}.") from error
        if credential.api_version != self.api_version:
            raise SpecError(
                f"{self._name} printed a credential of {credential.api_version!r}; the kubeconfig names "
                f"{self.api_version!r}."
            )
        status = credential.status
        certificate, key = status.client_certificate_data, status.client_key_data
        if not status.token and not (certificate and key):
            raise SpecError(f"{self._name} printed an empty credential.")
        pair = (certificate, key) if certificate and key else None
        return Login(status.token, pair, status.expiration_timestamp, time.monotonic())


def _described(cluster: Mapping[str, Any]) -> dict[str, Any]:
    """Return a cluster's entry as plugins read it: the authority as data, and the extension that is for them."""
    passed = ("server", "tls-server-name", "insecure-skip-tls-verify", "certificate-authority-data", "proxy-url")
    described = {key: cluster[key] for key in passed if key in cluster}
    if path := cluster.get("certificate-authority"):
        described["certificate-authority-data"] = base64.b64encode(read(path).encode()).decode()
    for extension in cluster.get("extensions", ()):
        if extension.get("name") == _EXTENSION:
            described["config"] = extension.get("extension")
    return described


def token_of(user: Mapping[str, Any], last: str | None = None) -> str | None:
    """Return a user's bearer token: from its file, else the last one or the one beside it, as kubectl does.

    Args:
        user: the kubeconfig's entry.
        last: what the file had before: for a moment it may be empty or missing, while it is replaced.

    Raises:
        SpecError: the file cannot be read, and there is no other token.
    """
    other: str | None = last or user.get("token")
    if path := user.get("tokenFile"):
        try:
            return read(path).strip() or other
        except SpecError:
            if not other:
                raise
    return other


def read(path: str) -> str:
    """Read a file that a kubeconfig names.

    Raises:
        SpecError: it cannot be read.
    """
    try:
        return Path(path).read_text("utf-8")
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or "it is not text"
        raise SpecError(f"{path}, named in the kubeconfig, cannot be read: {why}.") from error
