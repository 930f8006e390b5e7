"""`check` with a cluster: what it asks, what it says, and that it makes nothing."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from jobs.kube.kinds import Kind
from tests.objects import Object
from tests.unit.jobs.apiserver import ApiServer, Refusal

Ocrfleet = Callable[..., Any]


@pytest.fixture
def server(api: ApiServer) -> ApiServer:
    """A server with a namespace and the kinds that a job has."""
    api.kinds["v1"] += ["ServiceAccount", "Namespace", "Secret", "ResourceQuota", "PersistentVolumeClaim"]
    api.kinds["networking.k8s.io/v1"] = ["NetworkPolicy"]
    api.kinds["scheduling.k8s.io/v1"] = ["PriorityClass"]
    api.put({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "default"}})
    api.put(dns("kube-dns", {"k8s-app": "kube-dns"}), namespace="kube-system")
    return api


def dns(name: str, selector: dict[str, str]) -> Object:
    """Return the Service of a cluster's DNS."""
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": {"selector": selector}}


def test_without_being_told_to_no_cluster_is_asked(server: ApiServer, ocrfleet: Ocrfleet, job: Path) -> None:
    assert ocrfleet("check", job).code == 0
    assert server.asked == []


@pytest.mark.parametrize(
    "words", [("-n", "default"), ("--namespace", "default"), ("--context", "fake"), ("--as", "robot")]
)
def test_a_job_that_can_run_there(server: ApiServer, ocrfleet: Ocrfleet, job: Path, words: tuple[str, ...]) -> None:
    before = dict(server.objects)
    ran = ocrfleet("check", job, *words)
    assert ran.code == 0, ran.out
    for said in (
        "ok     cluster: fake, namespace default",
        "ok     placement.engine: the cluster serves job (batch/v1)",
        "ok     permissions: you may submit runs",
        "ok     chart.networkPolicy: pods reach the cluster's DNS, kube-dns in kube-system",
        "ok     pod: the server accepts one",
        "ok     admission: Job ",
    ):
        assert said in ran.out
    assert ran.out.splitlines()[-1].startswith("The job can run.")
    assert server.objects == before
    assert {query.get("dryRun") for verb, _, query, _ in server.asked if verb == "PATCH"} == {"All"}


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ("placement.engine=jobset", "the cluster does not serve JobSet of jobset.x-k8s.io/v1alpha2"),
        (
            "placement.credentialsSecret=none",
            "placement.credentialsSecret is 'none', but the Secret none does not exist",
        ),
        (
            "placement.serviceAccount=none",
            "placement.serviceAccount is 'none', but the ServiceAccount none does not exist",
        ),
        (
            "placement.imagePullSecrets=[none]",
            "placement.imagePullSecrets is 'none', but the Secret none does not exist",
        ),
        ("placement.priority=none", "placement.priority is 'none', but the PriorityClass none does not exist"),
        (
            "placement.storage.cache={existingClaim: none}",
            "is 'none', but the PersistentVolumeClaim none does not exist",
        ),
    ],
)
def test_what_is_missing_there(server: ApiServer, ocrfleet: Ocrfleet, job: Path, option: str, said: str) -> None:
    ran = ocrfleet("check", job, "--context", "fake", "--set", option)
    assert said in ran.out
    assert ran.code == 40
    assert ran.out.splitlines()[-1].startswith("The job cannot run: 1 error.")


def test_a_namespace_that_is_not_there_is_said_once(server: ApiServer, ocrfleet: Ocrfleet, job: Path) -> None:
    ran = ocrfleet("check", job, "-n", "elsewhere")
    assert "error  The namespace elsewhere does not exist" in ran.out
    assert ran.out.splitlines()[-1].startswith("The job cannot run: 1 error.")


def test_a_right_that_is_missing_is_named(server: ApiServer, ocrfleet: Ocrfleet, job: Path) -> None:
    server.refused |= {("create", "jobs"), ("delete", "jobs")}
    ran = ocrfleet("check", job, "--context", "fake")
    assert "error  permissions: to submit runs you need create jobs. manifests/base" in ran.out
    assert "warn   permissions: to watch and delete runs you need delete jobs" in ran.out
    assert ran.code == 42


def test_what_may_not_be_read_is_named(server: ApiServer, ocrfleet: Ocrfleet, job: Path) -> None:
    server.refused |= {("get", "namespaces"), ("get", "secrets"), ("list", "resourcequotas"), ("create", "pods")}
    ran = ocrfleet("check", job, "--context", "fake", "--set", "placement.credentialsSecret=keys")
    assert ran.code == 0, ran.out
    for what in ("the namespace default", "placement.credentialsSecret: the Secret keys", "ResourceQuotas"):
        assert f"{what}: not checked, because you may not read it" in ran.out
    assert "warn   pod: you may not create pods" in ran.out


def test_a_resolver_that_the_policy_leaves_out_is_named(server: ApiServer, ocrfleet: Ocrfleet, job: Path) -> None:
    words = ("check", job, "--context", "fake")
    server.put(dns("kube-dns", {"app": "my-dns"}), namespace="kube-system")
    ran = ocrfleet(*words)
    assert (
        "warn   chart.networkPolicy: the cluster's DNS, kube-dns in kube-system, selects app=my-dns, which" in ran.out
    )
    assert "chart.networkPolicy.dns.cidrs" in ran.out
    assert "DNS" not in ocrfleet(*words, "--set", "chart.networkPolicy.enabled=false").out

    server.take(Kind("v1", "Service"), "kube-dns", namespace="kube-system")
    assert "warn   chart.networkPolicy: the cluster has no Service kube-dns in kube-system and no dns-default in" in (
        ocrfleet(*words).out
    )

    selector = {"dns.operator.openshift.io/daemonset-dns": "default"}
    server.put(dns("dns-default", selector), namespace="openshift-dns")
    said = "ok     chart.networkPolicy: pods reach the cluster's DNS, dns-default in openshift-dns"
    assert said in ocrfleet(*words).out

    server.refused |= {("get", "services")}
    assert "the cluster's DNS: not checked, because you may not read it" in ocrfleet(*words).out


def test_a_quota_without_room_is_a_warning(server: ApiServer, ocrfleet: Ocrfleet, job: Path) -> None:
    quota = {"hard": {"pods": "3", "requests.cpu": "4", "limits.cpu": "0"}, "used": {"pods": "2", "requests.cpu": "1"}}
    server.put({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "team"}, "status": quota})
    words = ("check", job, "--context", "fake", "--set", "placement.resources.requests.cpu=2")
    assert "ok     quota: the ResourceQuota team has room for 1 pods" in ocrfleet(*words).out
    ran = ocrfleet(*words, "--set", "placement.nodes=2")
    assert "pods has 1 free, but 2 nodes need 2; requests.cpu has 3 free, but 2 nodes need 4" in ran.out
    assert ran.code == 0


@pytest.mark.parametrize(
    ("message", "said", "code"),
    [
        (
            'violates PodSecurity "restricted:latest": host namespaces (hostNetwork=true)',
            "error  pod: the Pod Security level restricted:latest of the namespace forbids the pod: host namespaces",
            40,
        ),
        (
            "exceeded quota: team, requested: pods=1, used: pods=1, limited: pods=1",
            "warn   pod: the ResourceQuota team is used up: pods=1 allowed, pods=1 in use, pods=1 requested by the pod",
            0,
        ),
    ],
)
def test_a_pod_that_the_server_refuses_is_told_in_words(
    message: str, said: str, code: int, server: ApiServer, ocrfleet: Ocrfleet, job: Path
) -> None:
    def refuse(found: Object) -> None:
        if found["kind"] == "Pod":
            raise Refusal(f'pods "{found["metadata"]["name"]}" is forbidden: {message}')

    server.webhooks.append(refuse)
    ran = ocrfleet("check", job, "--context", "fake")
    assert said in ran.out
    assert ran.code == code


def test_auto_is_resolved_first(server: ApiServer, ocrfleet: Ocrfleet, job: Path) -> None:
    ran = ocrfleet("check", job, "--context", "fake", "--set", "placement.engine=auto")
    assert "ok     placement.engine: auto selects job, because the job has one node" in ran.out


def test_a_queue_that_holds_nothing_back_is_a_warning(server: ApiServer, ocrfleet: Ocrfleet, job: Path) -> None:
    ran = ocrfleet("check", job, "--context", "fake", "--set", "placement.queue=team")
    assert "warn   placement.queue: nothing holds back a Job in this namespace" in ran.out


def test_a_cluster_that_is_away_is_an_error(
    ocrfleet: Ocrfleet, job: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    ran = ocrfleet("check", job, "--request-timeout", "30s")
    assert "error  No cluster to use" in ran.out
    assert ran.code == 40
