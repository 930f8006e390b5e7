"""What contradicts itself is refused by the model and by the chart, in the same words."""

from typing import Any, Final

import helm_python
import pytest

from jobs.jobfile import model as jobfile
from tests.chart.helm import outcome
from tests.chart.test_leaves import with_fields
from trainer.errors import SpecError
from trainer.formats.yaml import to_yaml

CLAIM = {"placement.nodes": 2, "placement.storage.cache.existingClaim": "scans"}


REFUSALS: Final[list[tuple[dict[str, Any], str]]] = [
    ({"run.config": {"Global": {}}}, "run needs one of `recipe` and `config`, and not both"),
    (
        {"placement.storage.cache.emptyDir": "1Gi", "placement.storage.cache.ephemeral": "1Gi"},
        "placement.storage.cache has emptyDir and ephemeral: choose one",
    ),
    (
        {"placement.storage.cache.accessMode": "ReadWriteMany"},
        "placement.storage.cache.accessMode needs `ephemeral` or `existingClaim`; neither is set",
    ),
    (
        CLAIM,
        "placement.storage.cache.existingClaim is one volume for 2 nodes: if all of them can mount it, set "
        "placement.storage.cache.accessMode: ReadWriteMany; otherwise use `ephemeral` or `emptyDir`",
    ),
    (
        {"placement.serviceAccount": "ours", "placement.credentialsSecret": "keys"},
        "the secret would hide the account's identity; choose one",
    ),
    (
        {"name": "a" * 35, "placement.engine": "jobset", "placement.nodes": 2},
        "name has 35 characters: with placement.engine jobset and 2 nodes it may have at most 34",
    ),
    (
        {"placement.resources": {"requests": {"example.com/fpga": 1}}},
        "placement.resources.requests has example.com/fpga: devices are requested by limits",
    ),
    (
        {"placement.resources.limits": {"nvidia.com/gpu": 8}},
        "it is set from placement.devicesPerNode; remove it",
    ),
    ({"placement.resources.limits": {"requests.x.io/a": 8}}, "write the name of the device, without `requests.`"),
    (
        {"placement.resources.limits": {"x.io/a": "500m"}},
        "placement.resources.limits.x.io/a is 500m: the number of devices",
    ),
    (
        {"placement.resources.limits": {"x.io/a": 1}, "chart.rdma.resource": "x.io/a"},
        "placement.resources.limits has x.io/a: it is set from chart.rdma; remove it",
    ),
    (
        {"run.init.pretrained": "s3://b/x", "run.init.sha256": None},
        "run.init.sha256 is missing: a .pdparams file is",
    ),
    (
        {"run.distill.teacher": "s3://b/x", "run.distill.teacherSha256": None},
        "run.distill.teacherSha256 is missing: a .pdparams file is",
    ),
    (
        {"run.distill.teacher": "channel:teacher", "run.distill.randomTeacher": True},
        "run.distill has both teacher and randomTeacher: choose one",
    ),
    (
        {"placement.storage.cache": {"storageClass": "fast", "ephemeral": None}},
        "placement.storage.cache.storageClass needs `ephemeral`, which is not set",
    ),
    (
        {"chart.identity": {"preset": "aws-irsa", "role": None}},
        "chart.identity.role is missing: the preset aws-irsa needs it",
    ),
    (
        {"chart.identity": {"preset": "gke", "role": "arn:aws:iam::000000000000:role/x"}},
        "chart.identity.role belongs to the preset aws-irsa, but the preset is gke",
    ),
    (
        {"chart.identity.preset": "gke", "placement.credentialsSecret": "keys"},
        "the job has placement.credentialsSecret and chart.identity: the secret would hide the identity; choose one",
    ),
    (
        {"name": "default"},
        "name is default, and every namespace already has a ServiceAccount of that name: choose another name, or set "
        "chart.serviceAccount.name",
    ),
    ({"chart.serviceAccount.name": "default"}, "which every namespace has already: also set `create: false`"),
    ({"chart.rdma.resource": "nvidia.com/gpu"}, "name the network cards; GPUs are placement.devicesPerNode"),
    ({"chart.topology.required": True}, "chart.topology.required needs chart.topology.key, which is not set"),
    *(
        ({"chart.networkPolicy.s3.cidrs": ["10.0.0.0/8", cidr]}, f"'{cidr}'")
        for cidr in ("10.0.0.1/8", "255.255.255.255/31", "2600:1f18::/20", "fc00:1::/7", "fe80::/8")
    ),
    *(
        ({f"chart.{part}": {name: "a"}}, f"chart.{part} has {name}: only ocrfleet or the engine sets it")
        for part in ("podLabels", "podAnnotations", "podMonitor.labels", "serviceAccount.annotations")
        for name in ("ocrfleet.io/name", "batch.kubernetes.io/job-name")
    ),
    *(
        ({f"chart.{part}": {name: "a"}}, f"chart.{part} has {name}: only ocrfleet or the engine sets it")
        for part, name in (
            ("podLabels", "app.kubernetes.io/name"),
            ("podLabels", "job-name"),
            ("podLabels", "azure.workload.identity/use"),
            ("podMonitor.labels", "app.kubernetes.io/part-of"),
            ("serviceAccount.annotations", "eks.amazonaws.com/role-arn"),
            ("serviceAccount.annotations", "helm.sh/resource-policy"),
        )
    ),
    ({"chart.podAnnotations": {"a": "é" * 16_400}}, "chart.podAnnotations are larger than 32 KiB"),
    ({"chart.extraEnv": [{"name": "PADDLE_MASTER"}]}, "chart.extraEnv has PADDLE_MASTER: only ocrfleet sets such"),
    ({"chart.extraEnv": [{"name": "AWS_SESSION_TOKEN"}]}, "chart.extraEnv has AWS_SESSION_TOKEN: put keys into a"),
    ({"chart.extraEnv": [{"name": "NO_PROXY"}]}, "chart.extraEnv has NO_PROXY: it is set from chart.proxy.noProxy"),
    ({"chart.extraEnv": [{"name": "A"}, {"name": "A"}]}, "chart.extraEnv has A twice: remove one"),
    (
        {"chart.extraEnv": [{"name": "A", "value": "b", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}]},
        "chart.extraEnv has A with value and valueFrom: choose one",
    ),
    ({"chart.extraVolumes": [{"name": "work"}]}, "chart.extraVolumes has work, which the pod has already"),
    (
        {"chart.extraVolumeMounts": [{"name": "a", "mountPath": "/work/data/"}]},
        "chart.extraVolumeMounts has /work/data, which the pod has already: choose another",
    ),
    (
        {"chart.extraVolumeMounts": [{"name": "tmp", "mountPath": "/a"}, {"name": "work", "mountPath": "/a/"}]},
        "chart.extraVolumeMounts has /a twice: remove one",
    ),
    (
        {"chart.extraVolumeMounts": [{"name": "scans", "mountPath": "/scans"}]},
        "chart.extraVolumeMounts has the volume scans, which is not in chart.extraVolumes: add it there",
    ),
    (
        {"chart.extraVolumeMounts": [{"name": "credentials", "mountPath": "/scans"}]},
        "chart.extraVolumeMounts has the volume credentials, which is not in chart.extraVolumes",
    ),
    ({"placement.imagePullSecrets": ["a", "b", "a"]}, "placement.imagePullSecrets has a twice: remove one"),
    (
        {"chart.rdma.resource": "requests.x.io/a"},
        "chart.rdma.resource is requests.x.io/a: write the name of the device",
    ),
    ({"run.config": {}}, "run needs one of `recipe` and `config`, and not both"),
    ({"schedule.suspendAfterFailures": 4}, "without it schedule.suspendAfterFailures has no effect"),
]
"""Fields of a job file that contradict each other, and words of the sentence that refuses them."""


@pytest.mark.parametrize(("fields", "words"), REFUSALS)
def test_model_and_chart_refuse_alike(fields: dict[str, Any], words: str) -> None:
    job = with_fields(fields)
    made = outcome(job)
    assert isinstance(made, str)
    assert words in made
    with pytest.raises(SpecError) as refused:
        jobfile.load(to_yaml(job))
    assert words in str(refused.value)


def test_a_run_that_no_annotation_can_carry_is_refused() -> None:
    made = outcome(with_fields({"run.recipe": None, "run.config": {"Global": {"a": "é" * 103_000}}}))
    assert isinstance(made, str)
    assert made.startswith(
        "run is larger than 200 KiB, which does not fit into an annotation: shorten `run.config`, or"
    )


def test_a_claim_that_all_nodes_can_mount_is_taken() -> None:
    job = with_fields({**CLAIM, "placement.storage.cache.accessMode": "ReadWriteMany"})
    assert isinstance(outcome(job), dict)
    assert jobfile.load(to_yaml(job)).placement.storage.cache.access_mode == "ReadWriteMany"


@pytest.mark.parametrize("cidr", ["0.0.0.0/0", "10.0.0.0/8", "1.2.3.4/32", "::/0", "fc00::/7", "2600:1f18::/32"])
def test_a_range_that_begins_with_its_first_address_is_taken(cidr: str) -> None:
    job = with_fields({"chart.networkPolicy.s3.cidrs": [cidr]})
    assert isinstance(outcome(job), dict)
    assert jobfile.load(to_yaml(job)).chart.network_policy.s3.cidrs == (cidr,)


@pytest.mark.parametrize("name", ["true", "null", "no", "on", "y", "n"])
def test_a_name_that_is_another_kind_to_yaml_stays_a_text(name: str) -> None:
    fields = {"name": name, "chart.podMonitor.enabled": True, "chart.podMonitoring.enabled": True}
    for text in outcome(with_fields(fields)).values():  # type: ignore[union-attr]
        for each in text.split("\n---\n"):
            assert isinstance(helm_python.values_from_yaml(each)["metadata"]["name"], str)


@pytest.mark.parametrize("claim", ["123", "1.5", "true", "1e3"])
def test_a_claim_that_is_a_number_to_yaml_stays_a_text(claim: str) -> None:
    made = outcome(with_fields({"placement.storage.cache.existingClaim": claim}))
    assert f'claimName: "{claim}"' in made["workload.yaml"]  # type: ignore[index]


@pytest.mark.parametrize(
    ("url", "ports"),
    [
        ("https://s3.example.com", [443]),
        ("http://10.0.0.1", [443, 80]),
        ("http://10.0.0.1:9000/a:1", [443, 9000]),
        ("https://[2600:1f18::1]/x", [443]),
        ("https://[2600:1f18::1]:8443", [443, 8443]),
    ],
)
def test_the_policy_opens_the_port_of_the_endpoint(url: str, ports: list[int]) -> None:
    assert [each["port"] for each in to_store({"chart.endpoint.url": url})[0]["ports"]] == ports


def test_no_address_or_no_port_of_a_store_opens_nothing() -> None:
    """To Kubernetes an empty list is everything."""
    assert to_store({"chart.networkPolicy.s3.cidrs": []}) == []
    assert to_store({"chart.networkPolicy.s3.ports": []}) == []


def to_store(fields: dict[str, Any]) -> list[dict[str, Any]]:
    made = outcome(with_fields(fields))
    assert isinstance(made, dict)
    egress = helm_python.values_from_yaml(made["networkpolicy.yaml"])["spec"]["egress"]
    assert {"podSelector"} == set(egress[0]["to"][0])
    assert {each["port"] for each in egress[1]["ports"]} == {53}
    rules: list[dict[str, Any]] = egress[2:]
    return rules


def test_nearness_is_beside_the_affinity_of_the_platform() -> None:
    own = {"topologyKey": "rack", "labelSelector": {}}
    rules = {"requiredDuringSchedulingIgnoredDuringExecution": [own]}
    job = with_fields(
        {"chart.affinity": {"podAffinity": rules}, "chart.topology.key": "zone", "chart.topology.required": True}
    )
    made = outcome(job)
    assert isinstance(made, dict)
    pod = helm_python.values_from_yaml(made["workload.yaml"])["spec"]["template"]["spec"]
    near = pod["affinity"]["podAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    assert [each["topologyKey"] for each in near] == ["rack", "zone"]


@pytest.mark.parametrize(
    "character", ["\x00", "\x1b", "\t", "\xa0", "\u2028", "\ufeff", "\ufffd", "\U0010ffff", "'", '"']
)
def test_a_character_that_yaml_has_a_place_for_arrives(character: str) -> None:
    job = with_fields({"chart.extraEnv": [{"name": "A", "value": character}]})
    made = outcome(job)
    assert isinstance(made, dict)
    (container,) = helm_python.values_from_yaml(made["workload.yaml"])["spec"]["template"]["spec"]["containers"]
    assert container["env"][-1] == {"name": "A", "value": character}
    assert jobfile.load(to_yaml(job)).chart.extra_env[0].value == character
