"""Install JobSet, Kueue and Kubeflow's two trainers, each built here and with its own manifests."""

import hashlib
import json
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from tests.cluster.machine import images, programs, separate
from tests.cluster.machine.kinds import source
from tests.cluster.machine.layout import HERE, PROGRAMS
from tests.cluster.machine.lifetime import apply, kubectl
from tests.cluster.machine.processes import ClusterError, say
from tests.cluster.machine.separate import Separate

_MANIFESTS: Final = HERE / "manifests"
_MARK: Final = "ocrfleet.io/installed"


@dataclass(frozen=True, kw_only=True)
class Addon:
    """A controller with kinds of its own, and a webhook that checks them."""

    title: str
    """As people call it."""

    name: str
    """Its kustomization in the folder `manifests`."""

    package: Mapping[str, str] | Separate
    """Its program, and where the `main` of that is."""

    module: str
    """The Go module that has its manifests."""

    container: str = "manager"
    """As its manifests call the container of its program."""

    namespace: str
    deployment: str
    certificate: str
    """The Secret that the controller fills with its webhook's certificate."""

    version: str
    kind: str
    """What it brings, and its webhook checks."""

    least: Mapping[str, Any] = field(default_factory=dict)
    """The shortest specification of that which is right."""

    after: tuple["Addon", ...] = ()
    """What must be there before it."""

    @property
    def pinned(self) -> Path:
        """The folder whose go.mod has its version."""
        return self.package.module if isinstance(self.package, Separate) else PROGRAMS

    def build(self) -> Path:
        """Return its program, built when it does not exist yet, after those of what must be there before it.

        Raises:
            ClusterError: Go fails.
        """
        for first in self.after:
            first.build()
        if isinstance(self.package, Separate):
            return self.package.build()
        (name,) = self.package
        return programs.build(dict(self.package)) / name


JOBSET: Final = Addon(
    title="JobSet",
    name="jobset",
    package=programs.JOBSET,
    module="sigs.k8s.io/jobset",
    namespace="jobset-system",
    deployment="jobset-controller-manager",
    certificate="jobset-webhook-server-cert",
    version="jobset.x-k8s.io/v1alpha2",
    kind="JobSet",
)
TRAINER: Final = Addon(
    title="Kubeflow Trainer",
    name="trainer",
    package=programs.TRAINER,
    module="github.com/kubeflow/trainer/v2",
    namespace="kubeflow-system",
    deployment="kubeflow-trainer-controller-manager",
    certificate="kubeflow-trainer-webhook-cert",
    version="trainer.kubeflow.org/v1alpha1",
    kind="ClusterTrainingRuntime",
    least={"mlPolicy": {"numNodes": 1}},
)
KUEUE: Final = Addon(
    title="Kueue",
    name="kueue",
    package=programs.KUEUE,
    module="sigs.k8s.io/kueue",
    namespace="kueue-system",
    deployment="kueue-controller-manager",
    certificate="kueue-webhook-server-cert",
    version="kueue.x-k8s.io/v1beta2",
    kind="ResourceFlavor",
    # It looks for kinds that come after it less and less often, and refuses their objects until it has found them.
    after=(JOBSET, TRAINER),
)
TRAINING_OPERATOR: Final = Addon(
    title="Kubeflow Training Operator",
    name="training",
    package=separate.TRAINING_OPERATOR,
    module="github.com/kubeflow/training-operator",
    container="training-operator",
    namespace="kubeflow",
    deployment="training-operator",
    certificate="training-operator-webhook-cert",
    version="kubeflow.org/v1",
    kind="PaddleJob",
    least={
        "paddleReplicaSpecs": {"Worker": {"template": {"spec": {"containers": [{"name": "paddle", "image": "any"}]}}}}
    },
)


def install(addon: Addon) -> None:
    """Install it, and return when its webhook answers; one that is installed as it should be stays as it is.

    Raises:
        ClusterError: it does not build, or is not ready in time.
    """
    for first in addon.after:
        install(first)
    program = addon.build()
    image = images.of_program(program)
    images.import_everywhere(image)
    manifests = _rendered(addon, image=image.name, program=program.name)
    digest = hashlib.sha256(manifests.encode()).hexdigest()[:12]
    if _mark(addon) != digest:
        say(f"installing {addon.title} ...")
        begun = time.monotonic()
        apply(manifests)
        _hand_over_certificate(addon)
        _wait_until_it_answers(addon)
        kubectl("annotate", "--overwrite", "namespace", addon.namespace, f"{_MARK}={digest}")
        say(f"  {time.monotonic() - begun:.0f} s")
    else:
        _wait_until_it_answers(addon)  # its node may have been hurt a moment ago


def _rendered(addon: Addon, *, image: str, program: str) -> str:
    with tempfile.TemporaryDirectory() as folder:
        # Kustomize takes no absolute path.
        (Path(folder) / "source").symlink_to(source(addon.module, pinned=addon.pinned))
        namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": addon.namespace}}
        (Path(folder) / "namespace.yaml").write_text(json.dumps(namespace), "utf-8")
        for name, target in ((addon.name, "kustomization"), ("manager", "manager")):
            text = (_MANIFESTS / f"{name}.yaml").read_text("utf-8")
            for placeholder, value in (("image", image), ("program", program), ("container", addon.container)):
                text = text.replace(f"$({placeholder})", value)
            (Path(folder) / f"{target}.yaml").write_text(text, "utf-8")
        return kubectl("kustomize", folder)


def _mark(addon: Addon) -> str | None:
    found = kubectl("get", "namespace", addon.namespace, "--ignore-not-found", "--output=json")
    mark: str | None = json.loads(found)["metadata"].get("annotations", {}).get(_MARK) if found else None
    return mark


def _hand_over_certificate(addon: Addon) -> None:
    """Let the pod see what it has written into the Secret: the kubelet looks once a minute, or when a pod changes."""
    inside = f"--namespace={addon.namespace}"
    there = r"--for=jsonpath={.data.tls\.crt}"
    kubectl(inside, "wait", f"secret/{addon.certificate}", there, "--timeout=60s")
    kubectl(inside, "annotate", "--overwrite", "pod", "--all", f"{_MARK}={time.time_ns()}")


def _wait_until_it_answers(addon: Addon, *, deadline: float = 30) -> None:
    """Ask until the API server gets through to the webhook: it does not tell when it has heard of a new address."""
    kubectl(f"--namespace={addon.namespace}", "rollout", "status", f"deployment/{addon.deployment}", "--timeout=60s")
    probe = {"apiVersion": addon.version, "kind": addon.kind, "metadata": {"name": "probe"}, "spec": addon.least}
    until = time.monotonic() + deadline
    while True:
        try:
            kubectl("create", "--dry-run=server", "--namespace=default", "--filename=-", given=json.dumps(probe))
        except ClusterError:
            if time.monotonic() > until:
                raise
            time.sleep(0.2)
        else:
            return
