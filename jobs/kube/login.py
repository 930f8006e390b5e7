"""Programs that log in to a cluster, such as `aws eks get-token`: client-go's credential plugins.

Source: Kubernetes' documentation, "Authentication", section "client-go credential plugins".
"""

import base64
import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from jobs.kube.kubeconfig import Choice, Program
from trainer.errors import AccessError, SpecError

_APIS: Final = ("client.authentication.k8s.io/v1", "client.authentication.k8s.io/v1beta1")
"""Forms of what a program is told and prints."""

_EXTENSION: Final = "client.authentication.k8s.io/exec"
"""The name of what a cluster's entry says to the programs that log in to it."""

_EARLY: Final = timedelta(seconds=10)
"""How long before its end a login is made anew."""


@dataclass(frozen=True)
class Login:
    """What a program gave: a token, a certificate with its key, or both."""

    token: str | None = None
    certificate: str | None = None
    key: str | None = None
    expires: datetime | None = None
    made: float = field(default_factory=time.monotonic)
    """On this process's own clock, in seconds."""

    def shown(self) -> tuple[str, str] | None:
        """Return the certificate and its key, where there are such."""
        return (self.certificate, self.key) if self.certificate and self.key else None

    def over(self) -> bool:
        """Check whether it is time for another."""
        return self.expires is not None and self.expires - _EARLY < datetime.now(UTC)


def log_in(choice: Choice, program: Program) -> Login:
    """Run the program that a user's kubeconfig names; what it asks and says goes to the terminal.

    Args:
        choice: whom it logs in, and to what.
        program: the user's.

    Raises:
        AccessError: it is not there, or it failed.
        SpecError: the kubeconfig or the program speaks in a form that is not known.
    """
    told = program.command
    if program.api_version not in _APIS:
        raise SpecError(
            f"The user of context {choice.context!r} logs in with {told!r}, whose API version {program.api_version!r} "
            f"is not supported. Create the kubeconfig again with your cloud's tool, for {_APIS[0]}."
        )
    sits = sys.stdin.isatty()
    if program.interactive_mode == "Always" and not sits:
        raise AccessError(
            f"{told!r} logs in to context {choice.context!r} and needs a terminal: run this command in one."
        )
    asks = sits and program.interactive_mode != "Never"
    own = {each.name: each.value for each in program.env or ()}
    try:
        done = subprocess.run(
            [told, *(program.args or ())],
            env={**os.environ, **own, "KUBERNETES_EXEC_INFO": _about(choice, program, interactive=asks)},
            stdin=None if asks else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            check=False,
        )
    except OSError as error:
        hint = " ".join((program.install_hint or "Install it, or fix the PATH.").split())
        raise AccessError(
            f"The login program {told!r} of context {choice.context!r} cannot be run: {error.strerror}. {hint}"
        ) from error
    if done.returncode:
        raise AccessError(
            f"The login program {told!r} of context {choice.context!r} ended with code {done.returncode}. Log in "
            "again as for kubectl."
        )
    return _read(choice, told, done.stdout)


def _about(choice: Choice, program: Program, *, interactive: bool) -> str:
    spec: dict[str, Any] = {"interactive": interactive}
    if program.provide_cluster_info:
        cluster, authority = choice.cluster, choice.cluster.authority()
        known = {
            "tls-server-name": cluster.tls_server_name,
            "insecure-skip-tls-verify": cluster.insecure_skip_tls_verify or None,
            "certificate-authority-data": authority and base64.b64encode(authority.encode()).decode(),
            "proxy-url": cluster.proxy_url,
            "config": {each.get("name"): each.get("extension") for each in cluster.extensions or ()}.get(_EXTENSION),
        }
        spec["cluster"] = {
            "server": choice.server,
            **{key: value for key, value in known.items() if value is not None},
        }
    return json.dumps({"apiVersion": program.api_version, "kind": "ExecCredential", "spec": spec})


def _read(choice: Choice, command: str, printed: bytes) -> Login:
    try:
        status: Mapping[str, Any] = json.loads(printed)["status"]
        expires = status.get("expirationTimestamp")
        found = Login(
            token=status.get("token"),
            certificate=status.get("clientCertificateData"),
            key=status.get("clientKeyData"),
            expires=datetime.fromisoformat(expires) if expires else None,
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise SpecError(
            f"The login program {command!r} of context {choice.context!r} printed no credential."
        ) from error
    if not (found.token or (found.certificate and found.key)):
        raise SpecError(f"The login program {command!r} of context {choice.context!r} printed an empty credential.")
    return found
