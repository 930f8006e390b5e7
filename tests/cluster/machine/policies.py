"""NetworkPolicy enforced on the nodes by kube-router's firewall; the bridge plugin enforces none."""

import hashlib
from pathlib import Path
from typing import Final

from tests.cluster.machine import images, programs
from tests.cluster.machine.layout import CACHE, HERE, HOST, SERVICES
from tests.cluster.machine.lifetime import apply, kubectl
from tests.cluster.machine.processes import ClusterError, say

FIREWALL: Final = HERE.parent / "firewall"
"""The Go module: its go.mod has the version."""

NOT_BUILT: Final = "kube-router is not built (run `make cluster-programs`)"

_PACKAGE: Final = "github.com/cloudnativelabs/kube-router/v2/cmd/kube-router"


def program() -> Path:
    """Give where the program of this version is, or will be."""
    digest = hashlib.sha256((FIREWALL / "go.mod").read_bytes() + (FIREWALL / "go.sum").read_bytes())
    return CACHE / "firewall" / digest.hexdigest()[:12] / "kube-router"


def build() -> None:
    """Build the program when it is not there yet; that takes minutes.

    Raises:
        ClusterError: Go fails.
    """
    target = program()
    if target.exists():
        return
    say(f"building {target.name} ...")
    partial = target.with_suffix(".part")
    programs.call_go("-C", str(FIREWALL), "build", "-trimpath", "-ldflags=-s -w", "-o", str(partial), _PACKAGE)
    partial.rename(target)


def install() -> None:
    """Have each node enforce policies; where they do already, nothing changes.

    Raises:
        ClusterError: the program is not built, or does not come up.
    """
    if not program().exists():
        raise ClusterError(NOT_BUILT)
    image = images.of_program(program())
    images.import_everywhere(image)
    manifests = (HERE / "policies.yaml").read_text("utf-8")
    for name, value in {"kube-router": image.name, "services": SERVICES, "host": HOST}.items():
        manifests = manifests.replace(f"$({name})", value)
    apply(manifests)
    kubectl("--namespace=kube-system", "rollout", "status", "daemonset/kube-router", "--timeout=60s")
