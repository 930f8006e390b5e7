"""Where a node's credentials are: files that neither its workers nor anything that decodes foreign bytes must read."""

import os
from collections.abc import Iterator, Mapping, MutableMapping
from pathlib import Path
from typing import Final

_FILES: Final = (
    "AWS_CONFIG_FILE",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
    "AWS_SHARED_CREDENTIALS_FILE",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AZURE_FEDERATED_TOKEN_FILE",
    "GOOGLE_APPLICATION_CREDENTIALS",
)
"""Variables that name one file."""

_IN_HOME: Final = (".aws", ".azure", ".config/gcloud", ".docker", ".kube", ".netrc", ".ssh")

_MOUNTED: Final = ("/etc/ocrfleet-credentials", "/run/secrets", "/var/run/secrets")
"""Where the chart mounts `placement.credentialsSecret`, and Kubernetes and clouds mount tokens of a service account."""

_NOWHERE: Final = "/nonexistent"
"""No file, and only root could make one there."""

_DEFAULTS: Final[Mapping[str, tuple[str, ...]]] = {
    "AWS_CONFIG_FILE": ("~/.aws/config",),
    "AWS_SHARED_CREDENTIALS_FILE": ("~/.aws/credentials",),
    "BOTO_CONFIG": ("/etc/boto.cfg", "~/.boto"),
}
"""Variables of boto3 that name a file, and where it looks without them."""


def settle(environ: MutableMapping[str, str]) -> None:
    """Have boto3 look for no file that does not exist yet.

    Workers can write to the home directory, which is /tmp in a pod. A profile that one makes there may name a program,
    and this process, which has the keys, would run it.
    """
    for name, files in _DEFAULTS.items():
        if not environ.get(name) and not any(os.path.exists(os.path.expanduser(file)) for file in files):
            environ[name] = _NOWHERE


def paths(environ: Mapping[str, str] = os.environ) -> list[Path]:
    """Return the files and folders that hold credentials, whether or not they exist."""
    return [*map(Path, _MOUNTED), *_named(environ), *(Path.home() / name for name in _IN_HOME)]


def _named(environ: Mapping[str, str]) -> Iterator[Path]:
    for name in _FILES:
        if value := environ.get(name):
            yield Path(value)
    yield from (Path(part) for part in environ.get("KUBECONFIG", "").split(os.pathsep) if part)
