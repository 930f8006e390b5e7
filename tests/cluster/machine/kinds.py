"""Kinds of controllers that don't run here: the API server checks what is written for them, and that is all."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.cluster.machine.layout import HERE
from tests.cluster.machine.lifetime import apply, kubectl
from tests.cluster.machine.programs import call_go


@dataclass(frozen=True, kw_only=True)
class Kinds:
    """The definitions of one project's kinds."""

    title: str
    """As people call it."""

    module: str
    """The Go module that has them."""

    pinned: Path
    """The folder whose go.mod has its version."""

    files: tuple[str, ...]
    """Where they are in the module."""

    version: str
    kind: str
    """The main one of them."""


VOLCANO: Final = Kinds(
    title="Volcano",
    module="volcano.sh/volcano",
    pinned=HERE.parent / "volcano",
    files=tuple(
        f"config/crd/volcano/bases/{name}.yaml"
        for name in ("batch.volcano.sh_jobs", "scheduling.volcano.sh_podgroups", "scheduling.volcano.sh_queues")
    ),
    version="batch.volcano.sh/v1alpha1",
    kind="Job",
)
TRAINING_OPERATOR: Final = Kinds(
    title="Kubeflow Training Operator",
    module="github.com/kubeflow/training-operator",
    pinned=HERE.parent / "training",
    files=("manifests/base/crds/kubeflow.org_paddlejobs.yaml",),
    version="kubeflow.org/v1",
    kind="PaddleJob",
)


def source(module: str, *, pinned: Path) -> Path:
    """Give the folder where Go has put a module's files; they are read-only.

    Args:
        module: its path.
        pinned: the folder whose go.mod has its version.
    """
    return Path(json.loads(call_go("-C", str(pinned), "mod", "download", "-json", module))["Dir"])


def define(kinds: Kinds) -> None:
    """Let the API server know them.

    Raises:
        ClusterError: it refuses one, or Go does not find the module.
    """
    manifests = _manifests(kinds)
    apply(manifests)
    # kubectl does not wait for a condition of an object that has none yet.
    for so in ("jsonpath={.status.acceptedNames.kind}", "condition=Established"):
        kubectl("wait", f"--for={so}", "--timeout=30s", "--filename=-", given=manifests)


def forget(kinds: Kinds) -> None:
    """Take them away, and all objects of them."""
    kubectl("delete", "--ignore-not-found", "--filename=-", given=_manifests(kinds))


def _manifests(kinds: Kinds) -> str:
    folder = source(kinds.module, pinned=kinds.pinned)
    return "\n---\n".join((folder / name).read_text("utf-8") for name in kinds.files)
