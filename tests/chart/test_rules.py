"""What contradicts itself is refused by the model and by the chart, in the same words."""

from typing import Any, Final

import helm_python
import pytest

from jobs.jobfile import model as jobfile
from jobs.jobfile.reserved import RESERVED
from tests.chart.helm import outcome
from tests.chart.test_leaves import ENGINES, with_fields
from trainer.errors import SpecError
from trainer.formats.yaml import to_yaml

ROLE = "arn:aws:iam::000000000000:role/x"
CLAIM = {"placement.nodes": 2, "placement.storage.cache.existingClaim": "scans"}


REFUSALS: Final[list[tuple[dict[str, Any], str]]] = [
    ({"run.config": {"Global": {}}}, "run needs one of `recipe` and `config`, and not both"),
    ({"run.config": {}}, "run needs one of `recipe` and `config`, and not both"),
    (
        {"run.distill.teacher": "channel:teacher", "run.distill.randomTeacher": True},
        "run.distill has both teacher and randomTeacher: choose one",
    ),
    (
        {"placement.storage.cache.emptyDir": "1Gi", "placement.storage.cache.ephemeral": "1Gi"},
        "placement.storage.cache has emptyDir and ephemeral: choose one",
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
        {"chart.identity.preset": "gke", "placement.credentialsSecret": "keys"},
        "the job has placement.credentialsSecret and chart.identity: the secret would hide the identity; choose one",
    ),
    (
        {"placement.resources.limits": {"nvidia.com/gpu": 8}},
        "placement.resources.limits has nvidia.com/gpu: it is set from placement.devicesPerNode; remove it",
    ),
    (
        {"name": "a" * 35, "placement.engine": "jobset", "placement.nodes": 2},
        "name has 35 characters: with placement.engine jobset and 2 nodes it may have at most 34",
    ),
    *(
        (
            account,
            "the ServiceAccount would be named default, and every namespace already has one of that name: choose "
            "another name, or set chart.serviceAccount.create: false",
        )
        for account in ({"name": "default"}, {"chart.serviceAccount.name": "default"})
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
    *(
        ({"chart.extraEnv": [{"name": name}]}, f"chart.extraEnv has {name}: {why}")
        for name, why in (
            ("OCRFLEET_NODES", "only ocrfleet sets such variables"),
            ("PADDLE_MASTER", "only ocrfleet sets such variables"),
            ("AWS_SESSION_TOKEN", "put keys into a Secret, and name it in placement.credentialsSecret"),
            ("AWS_SHARED_CREDENTIALS_FILE", "it is set from placement.credentialsSecret"),
            ("AWS_ENDPOINT_URL", "it is set from chart.endpoint.url"),
            ("AWS_REGION", "it is set from chart.endpoint.region"),
            ("SSL_CERT_FILE", "it is set from chart.caBundle"),
            ("NO_PROXY", "it is set from chart.proxy"),
            ("HTTPS_PROXY", "it is set from chart.proxy"),
        )
    ),
]
"""Fields of a job file that contradict each other, and words of the sentence that refuses them."""

IN_THE_SCHEMA: Final[list[tuple[dict[str, Any], str, str]]] = [
    ({"run.init.pretrained": "s3://b/x"}, "run.init", "sha256"),
    ({"run.init.pretrained": "s3://b/x", "run.init.sha256": None}, "run.init", "sha256"),
    ({"run.distill.teacher": "s3://b/x", "run.distill.teacherSha256": None}, "run.distill", "teacherSha256"),
    ({"placement.storage.cache.storageClass": "fast"}, "placement.storage.cache", "ephemeral"),
    ({"chart.identity": {"preset": "aws-irsa", "role": None}}, "chart.identity", "role"),
    ({"chart.identity.preset": "azure"}, "chart.identity", "clientId"),
    ({"chart.identity": {"preset": "gke", "role": ROLE}}, "chart.identity", "role"),
    ({"chart.identity": {"clientId": "0" * 8 + "-0000" * 3 + "-" + "0" * 12}}, "chart.identity", "clientId"),
    ({"chart.identity": {"preset": "none", "account": "a@b.iam.gserviceaccount.com"}}, "chart.identity", "account"),
    ({"chart.topology.required": True}, "chart.topology", "key"),
]
"""Fields that contradict each other, the part of the file, and the field that its schema refuses or wants."""


@pytest.mark.parametrize(("fields", "words"), REFUSALS)
def test_model_and_chart_refuse_alike(fields: dict[str, Any], words: str) -> None:
    job = with_fields(fields)
    made = outcome(job)
    assert isinstance(made, str)
    assert words in made
    with pytest.raises(SpecError) as refused:
        jobfile.load(to_yaml(job))
    assert words in str(refused.value)


@pytest.mark.parametrize(("fields", "part", "field"), IN_THE_SCHEMA)
def test_where_the_schema_refuses_the_model_names_the_same_field(fields: dict[str, Any], part: str, field: str) -> None:
    job = with_fields(fields)
    made = outcome(job)
    assert isinstance(made, str)
    assert f"at '/{part.replace('.', '/')}" in made
    assert field in made
    with pytest.raises(SpecError) as refused:
        jobfile.load(to_yaml(job))
    assert part in str(refused.value)
    assert field in str(refused.value)


def test_every_reserved_name_has_its_case() -> None:
    met = [words for _, words in REFUSALS]
    for rule in RESERVED:
        assert any(words.startswith(f"{rule.field} has ") and words.endswith(rule.why) for words in met), rule


def test_a_run_that_no_annotation_can_carry_is_refused() -> None:
    made = outcome(with_fields({"run.recipe": None, "run.config": {"Global": {"a": "é" * 103_000}}}))
    assert isinstance(made, str)
    assert made.startswith(
        "run is larger than 200 KiB, which does not fit into an annotation: shorten `run.config`, or"
    )


@pytest.mark.parametrize("engine", ENGINES)
def test_without_an_image_nothing_is_rendered(engine: str) -> None:
    """A default without a registry would be pulled from a public one."""
    job = with_fields({"placement.engine": engine, "placement.image": None})
    assert outcome(job) == (
        "placement.image is missing: set it to the trainer image in your registry, such as "
        "registry.example.com/ocr/ocrfleet:TAG. docs/tasks/run/build-the-image.md describes how to build and push it."
    )
    # `ocrfleet run` pulls nothing.
    assert jobfile.load(to_yaml(job)).placement.image is None


@pytest.mark.parametrize("name", ["http", "https"])
def test_a_proxy_with_a_password_comes_from_a_secret_alone(name: str) -> None:
    """A pod's spec is read by more people than a Secret."""
    job = with_fields({f"chart.proxy.{name}": "http://me:hushhush@proxy.example.com:3128"})
    made = outcome(job)
    assert isinstance(made, str)
    assert f"at '/chart/proxy/{name}'" in made
    with pytest.raises(SpecError) as refused:
        jobfile.load(to_yaml(job))
    assert str(refused.value) == (
        f"chart.proxy.{name} is 'http://***@proxy.example.com:3128': write http://HOST:PORT or https://HOST:PORT; one "
        "with a password is set in chart.extraEnv, from a Secret."
    )
    variable = {"name": f"{name.upper()}_PROXY", "valueFrom": {"secretKeyRef": {"name": "proxy", "key": "url"}}}
    job = with_fields({"chart.extraEnv": [variable], "chart.proxy.noProxy": ["internal.example.com"]})
    made = outcome(job)
    assert isinstance(made, dict)
    (container,) = helm_python.values_from_yaml(made["workload.yaml"])["spec"]["template"]["spec"]["containers"]
    assert container["env"][-2:] == [
        {"name": "NO_PROXY", "value": ".svc,.cluster.local,internal.example.com"},
        variable,
    ]
    jobfile.load(to_yaml(job))


def test_a_claim_that_all_nodes_can_mount_is_taken() -> None:
    job = with_fields({**CLAIM, "placement.storage.cache.accessMode": "ReadWriteMany"})
    assert isinstance(outcome(job), dict)
    assert jobfile.load(to_yaml(job)).placement.storage.cache.access_mode == "ReadWriteMany"


@pytest.mark.parametrize(
    "fields",
    [
        {"name": "default", "chart.serviceAccount.create": False},
        {"name": "default", "chart.serviceAccount.name": "ours"},
        {"name": "default", "placement.serviceAccount": "ours"},
        {"chart.serviceAccount": {"name": "default", "create": False}},
    ],
)
def test_an_account_that_exists_already_may_be_the_default_one(fields: dict[str, Any]) -> None:
    job = with_fields(fields)
    assert isinstance(outcome(job), dict)
    jobfile.load(to_yaml(job))


@pytest.mark.parametrize(
    "fields",
    [
        {"placement.resources": {"requests": {"cpu": 8}, "limits": {"cpu": 4}}},
        {"placement.resources.limits": {"example.com/fpga": "500m"}},
        {"placement.imagePullSecrets": ["a", "a"]},
        {"chart.networkPolicy.s3.cidrs": ["10.0.0.1/8"]},
        {"chart.extraEnv": [{"name": "A"}, {"name": "A"}]},
        {"chart.extraVolumes": [{"name": "work", "emptyDir": {}}]},
        {"chart.extraVolumeMounts": [{"name": "none", "mountPath": "/work"}]},
    ],
    ids=str,
)
def test_what_the_api_server_refuses_is_left_to_it(fields: dict[str, Any]) -> None:
    job = with_fields(fields)
    assert isinstance(outcome(job), dict)
    jobfile.load(to_yaml(job))


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
    assert [{each["port"] for each in rule["ports"]} for rule in egress[1:3]] == [{53}, {5353}]
    rules: list[dict[str, Any]] = egress[3:]
    return rules


@pytest.mark.parametrize(
    ("fields", "cidrs"),
    [
        ({}, ["169.254.0.0/16", "fe80::/10"]),
        ({"chart.networkPolicy.dns.cidrs": []}, []),
        ({"chart.networkPolicy.dns.cidrs": ["0.0.0.0/0", "::/0"]}, ["0.0.0.0/0", "::/0"]),
    ],
    ids=["by default", "no address", "every address"],
)
def test_names_are_asked_of_the_clusters_dns_and_of_the_given_addresses_only(
    fields: dict[str, Any], cidrs: list[str]
) -> None:
    """A rule for port 53 without peers would let out to every address."""
    made = outcome(with_fields(fields))
    assert isinstance(made, dict)
    egress = helm_python.values_from_yaml(made["networkpolicy.yaml"])["spec"]["egress"]
    assert all(rule.get("to") for rule in egress)
    dns, openshift = egress[1:3]
    pods, *addresses = dns["to"]
    assert pods == {
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}},
        "podSelector": {"matchLabels": {"k8s-app": "kube-dns"}},
    }
    assert [each["ipBlock"]["cidr"] for each in addresses] == cidrs
    assert openshift["to"] == [
        {
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "openshift-dns"}},
            "podSelector": {"matchLabels": {"dns.operator.openshift.io/daemonset-dns": "default"}},
        }
    ]
    for rule in (dns, openshift):
        assert {each["protocol"] for each in rule["ports"]} == {"UDP", "TCP"}


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
