"""Programs with a Go module of their own each: what they are built on is not what the cluster is built on."""

import hashlib
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.cluster.machine import programs
from tests.cluster.machine.layout import CACHE, HERE
from tests.cluster.machine.processes import say


@dataclass(frozen=True, kw_only=True)
class Separate:
    """A program, and the folder whose go.mod has its version."""

    name: str
    module: Path
    package: str
    tags: str = ""
    """Go's build tags, with commas between."""

    @property
    def program(self) -> Path:
        """Where the program of this version is, or will be."""
        digest = hashlib.sha256(b"".join((self.module / name).read_bytes() for name in ("go.mod", "go.sum")))
        return CACHE / self.name / digest.hexdigest()[:12] / self.name

    def build(self) -> Path:
        """Return the program; one that does not exist yet is built, which takes minutes.

        Raises:
            ClusterError: Go fails.
        """
        target = self.program
        if target.exists():
            return target
        say(f"building {self.name} (takes minutes) ...")
        shutil.rmtree(target.parent.parent, ignore_errors=True)  # other versions
        partial = target.with_suffix(".part")
        options = ["-trimpath", "-ldflags=-s -w", f"-tags={self.tags}", "-o", str(partial)]
        programs.call_go("-C", str(self.module), "build", *options, self.package)
        partial.rename(target)
        return target


FIREWALL: Final = Separate(
    name="kube-router",
    module=HERE.parent / "firewall",
    package="github.com/cloudnativelabs/kube-router/v2/cmd/kube-router",
)

PROMETHEUS: Final = Separate(
    name="prometheus",
    module=HERE.parent / "prometheus",
    package="github.com/prometheus/prometheus/cmd/prometheus",
    # Debian's has no Kubernetes in it, and this one nothing else.
    tags="remove_all_sd,enable_kubernetes_sd",
)

TRAINING_OPERATOR: Final = Separate(
    name="training-operator",
    module=HERE.parent / "training",
    package="github.com/kubeflow/training-operator/cmd/training-operator.v1",
)

ALL: Final = (FIREWALL, PROMETHEUS, TRAINING_OPERATOR)
"""What `make cluster-programs` builds beside the cluster's own."""
