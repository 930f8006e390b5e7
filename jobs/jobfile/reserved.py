"""Names that a pod of ocrfleet already has, so `chart` cannot use them. The chart's templates have the same lists."""

from collections.abc import Collection, Iterable, Sequence
from typing import Final

VARIABLES: Final = {
    "AWS_ENDPOINT_URL": "chart.endpoint.url",
    "AWS_REGION": "chart.endpoint.region",
    "AWS_SHARED_CREDENTIALS_FILE": "placement.credentialsSecret",
    "AWS_CA_BUNDLE": "chart.caBundle",
    "SSL_CERT_FILE": "chart.caBundle",
    "HTTP_PROXY": "chart.proxy.http",
    "HTTPS_PROXY": "chart.proxy.https",
    "NO_PROXY": "chart.proxy.noProxy",
}
ALWAYS: Final = ("run", "work", "cache", "tmp", "shared-memory")
VOLUMES: Final = (*ALWAYS, "credentials", "authorities")
MOUNTS: Final = (
    *("/etc/ocrfleet", "/etc/ocrfleet-credentials", "/etc/ocrfleet-authorities"),
    *("/work", "/work/data", "/tmp", "/dev/shm"),
)
IDENTITY: Final = (
    *("eks.amazonaws.com/role-arn", "iam.gke.io/gcp-service-account", "azure.workload.identity/client-id"),
    *("helm.sh/resource-policy", "argocd.argoproj.io/sync-options", "argocd.argoproj.io/compare-options"),
    "kustomize.toolkit.fluxcd.io/prune",
)
LABELS: Final = ("app.kubernetes.io/name", "app.kubernetes.io/part-of", "app.kubernetes.io/managed-by")
_OWN: Final = ("ocrfleet.io/", "batch.kubernetes.io/", "jobset.sigs.k8s.io/", "training.kubeflow.org/", "volcano.sh/")
BARE: Final = ("job-name", "controller-uid")
ANNOTATIONS: Final = 32_768
"""Bytes for annotations in addition to run.yaml's 200 KiB; a pod may have 256 KiB."""


def refuse_own(names: Iterable[str], where: str, own: Collection[str] = ()) -> None:
    """Refuse labels or annotations that already have a meaning."""
    for name in names:
        if name in own or name.startswith(_OWN):
            raise ValueError(f"{where} has {name}: only ocrfleet or the engine sets it")


def refuse_twice(names: Sequence[str], where: str, own: Collection[str] = ()) -> None:
    """Refuse names that the pod already has, and duplicates."""
    for place, name in enumerate(names):
        if name in own:
            raise ValueError(f"{where} has {name}, which the pod has already: choose another")
        if name in names[:place]:
            raise ValueError(f"{where} has {name} twice: remove one")
