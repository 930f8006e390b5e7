"""Names that ocrfleet or an engine sets, so `chart` cannot. docs/chart.py writes the table for the templates."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Rule:
    """Names that a field may not have."""

    field: str
    names: str
    """A pattern, of the syntax that Go and Python share."""

    why: str


_SET: Final = "only ocrfleet or the engine sets it"
_OWN: Final = (
    "^(ocrfleet[.]io|batch[.]kubernetes[.]io|jobset[.]sigs[.]k8s[.]io|training[.]kubeflow[.]org|volcano[.]sh)/"
)
_LABELS: Final = "^app[.]kubernetes[.]io/(name|part-of|managed-by)$"
_ENV: Final = "chart.extraEnv"

RESERVED: Final = (
    Rule("chart.podLabels", f"{_OWN}|{_LABELS}|^(job-name|controller-uid|azure[.]workload[.]identity/use)$", _SET),
    Rule("chart.podAnnotations", _OWN, _SET),
    Rule("chart.podMonitor.labels", f"{_OWN}|{_LABELS}", _SET),
    Rule(
        "chart.serviceAccount.annotations",
        f"{_OWN}|^(eks[.]amazonaws[.]com/role-arn|iam[.]gke[.]io/gcp-service-account|azure[.]workload[.]identity/client-id)$"
        "|^(helm[.]sh/resource-policy|argocd[.]argoproj[.]io/(sync|compare)-options|kustomize[.]toolkit[.]fluxcd[.]io/prune)$",
        _SET,
    ),
    Rule(_ENV, "^(OCRFLEET|PADDLE)_", "only ocrfleet sets such variables"),
    Rule(
        _ENV,
        "^AWS_(ACCESS_KEY_ID|SECRET_ACCESS_KEY|SESSION_TOKEN)$",
        "put keys into a Secret, and name it in placement.credentialsSecret",
    ),
    Rule(_ENV, "^AWS_SHARED_CREDENTIALS_FILE$", "it is set from placement.credentialsSecret"),
    Rule(_ENV, "^AWS_ENDPOINT_URL$", "it is set from chart.endpoint.url"),
    Rule(_ENV, "^AWS_REGION$", "it is set from chart.endpoint.region"),
    Rule(_ENV, "^(AWS_CA_BUNDLE|SSL_CERT_FILE)$", "it is set from chart.caBundle"),
    Rule(_ENV, "^(HTTP|HTTPS|NO)_PROXY$", "it is set from chart.proxy"),
)

FROM_ELSEWHERE: Final = ("HTTP_PROXY", "HTTPS_PROXY")
"""Variables that `chart.extraEnv` may have with `valueFrom`: a URL with a password must come from a Secret."""


def refuse_reserved(names: Iterable[str], field: str) -> None:
    """Refuse names of a field that already have a meaning."""
    for name in names:
        for rule in RESERVED:
            if rule.field == field and re.search(rule.names, name):
                raise ValueError(f"{field} has {name}: {rule.why}")
