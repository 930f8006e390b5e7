"""`check` and `submit` meet what a real API server refuses, and Helm's objects: nothing is half made."""

from pathlib import Path

import pytest
import yaml

from docs.chart import CHART
from tests.chart.helm import helm
from tests.cluster.controllers import need
from tests.cluster.kube import Namespace
from tests.cluster.machine.addons import KUEUE
from tests.cluster.test_commands_rbac import Account, account, job

pytestmark = pytest.mark.builds(KUEUE)

__all__ = ["job"]


def test_check_shows_the_server_a_pod(namespace: Namespace, tmp_path: Path, job: Path) -> None:
    """`restricted` takes the chart's pod, and refuses one that may lock memory for RDMA; a used quota is a warning."""
    user = account(namespace, tmp_path, "ocrfleet-user")
    pod = "ok     pod: the server accepts one"
    said = checked(user, job)
    assert pod in said
    assert f", namespace {namespace.name}\n" in said
    said = checked(user, job, "--set", "chart.rdma.resource=x.io/rdma")
    assert "error  pod: the Pod Security level restricted:latest of the namespace forbids the pod" in said
    namespace.apply(
        {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "none"}, "spec": {"hard": {"pods": "0"}}}
    )
    namespace.wait("ResourceQuota", "none", lambda found: found.get("status", {}).get("hard"))
    said = checked(user, job)
    assert "warn   quota: in the ResourceQuota none, pods has 0 free, but 2 nodes need 2" in said
    assert "warn   pod: the ResourceQuota none is used up" in said
    assert (
        "warn   placement.credentialsSecret: the Secret no-such-keys: not checked, because you may not read it" in said
    )
    assert namespace.pods() == []


def checked(user: Account, *words: str | Path) -> str:
    """Give what is said of a job whose dataset is nowhere, which alone ends it with 40."""
    local = ("--set", "run.data.train=file:///none", "--set", "run.output=file:///tmp")
    out, _ = user("check", *words, "--request-timeout", "30s", *local, code=40)
    return out


def test_what_helm_has_made_is_used_or_the_job_is_refused(namespace: Namespace, tmp_path: Path, job: Path) -> None:
    user = account(namespace, tmp_path, "ocrfleet-user")
    where = ("--namespace", namespace.name, "--kubeconfig", namespace.cluster.kubeconfig)
    helm("helm4", "install", "slips", CHART, "--values", job, *where)
    assert "Nothing changed." in user("submit", job)[1]
    said = user("submit", job, "--set", "run.train.seed=1")[1]
    assert "NetworkPolicy slips-rec: unchanged: the Helm release slips owns it" in said
    before = namespace.get("NetworkPolicy", "slips-rec")
    other = ("--set", "run.train.seed=2", "--set", "chart.networkPolicy.s3.cidrs=[10.0.0.0/8]")
    said = user("submit", job, *other, code=40)[1]
    assert "NetworkPolicy slips-rec belongs to the Helm release 'slips'" in said
    assert namespace.get("NetworkPolicy", "slips-rec") == before
    assert len(namespace.cluster.find("Job", namespace=namespace.name)) == 2


def test_fields_that_another_writes_are_left_to_him(namespace: Namespace, tmp_path: Path, job: Path) -> None:
    user = account(namespace, tmp_path, "ocrfleet-user")
    user("submit", job)
    policy = yaml.safe_load(yaml.safe_dump(namespace.get("NetworkPolicy", "slips-rec")))
    policy["spec"]["egress"] = []
    policy["metadata"] = {"name": "slips-rec"}
    namespace.apply({key: policy[key] for key in ("apiVersion", "kind", "metadata", "spec")})
    said = user("submit", job, "--set", "run.train.seed=1", code=40)[1]
    assert "NetworkPolicy slips-rec has fields that another client manages with other values" in said
    assert '"test"' in said
    assert len(namespace.cluster.find("Job", namespace=namespace.name)) == 1


@pytest.mark.parametrize("nodes", [1, 2])
def test_auto_asks_kueue_by_a_dry_run(namespace: Namespace, tmp_path: Path, job: Path, nodes: int) -> None:
    """A namespace that Kueue leaves out has no queue, whatever is installed."""
    need(namespace.cluster, KUEUE)
    user = account(namespace, tmp_path, "ocrfleet-user")
    words = ("submit", job, "--dry-run=server", "--set", "placement.engine=auto", "--set", f"placement.nodes={nodes}")
    engine = "job" if nodes == 1 else "jobset"
    assert f"placement.engine is auto: {engine}, because" in user(*words)[1]
    queued = (*words, "--set", "placement.queue=team")
    assert "nothing manages queues in this namespace" in user(*queued, code=40)[1]
    labels = {"ocrfleet.io/kueue": "true", "pod-security.kubernetes.io/enforce": "restricted"}
    metadata = {"name": namespace.name, "labels": labels}
    namespace.cluster.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})
    said = user(*queued)[1]
    assert f"placement.engine is auto: {engine}, because Kueue queues its objects in the queue team" in said
