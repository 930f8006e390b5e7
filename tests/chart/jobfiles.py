"""Job files that the chart's schema takes, made from the schema itself, with what is odd in every corner.

A few fields beside those of the least job, so that a failure shrinks to a file that a reader understands.
What is handed on as it is (amounts, tolerations, affinity, volumes, selectors) is well formed here, as Kubernetes
checks its content: requests within limits, each volume once, and one for each mount.
"""

import re
from collections.abc import Mapping
from typing import Any, Final

from hypothesis import strategies as st

from tests.chart.test_leaves import LEAVES, NEEDS, with_fields

Values = st.SearchStrategy[Any]

WORDS: Final = (
    *(
        "true",
        "null",
        "no",
        "on",
        "y",
        "n",
        "123",
        "0",
        "00",
        "1e3",
        "0x1f",
        "0o17",
        "017",
        "1-1",
        "1.5",
        "1.50",
        "inf",
    ),
    *(
        "a",
        "a-b",
        "a.b",
        "a..b",
        "a.-b",
        "a/b",
        "a" * 37,
        "a" * 63,
        "a" * 64,
        "a" * 253,
        "a" * 254,
        ".".join(["a" * 63] * 3),
    ),
    *("default", "A", "A_b.c-d", "example.com/a", "a.example.com/" + "a" * 63, "a" * 250 + ".b/c", "a..b/c"),
    *(
        "cpu",
        "memory",
        "ephemeral-storage",
        "storage",
        "pods",
        "hugepages-2Mi",
        "nvidia.com/gpu",
        "rdma.example.com/hca",
    ),
    *("kubernetes.io/x", "requests.example.com/x", "kubernetes.io/hostname", "team", "job-name", "controller-uid"),
    *(
        "ocrfleet.io/name",
        "ocrfleet.io/run",
        "ocrfleet.io/run.yaml",
        "app.kubernetes.io/name",
        "app.kubernetes.io/team",
    ),
    *("batch.kubernetes.io/job-name", "azure.workload.identity/use", "kueue.x-k8s.io/queue-name"),
    *("eks.amazonaws.com/role-arn", "helm.sh/resource-policy", "iam.gke.io/gcp-service-account"),
    *(
        "AWS_REGION",
        "AWS_PROFILE",
        "AWS_SECRET_ACCESS_KEY",
        "HTTP_PROXY",
        "OCRFLEET_NODES",
        "SSL_CERT_FILE",
        "HOME",
        "_",
    ),
    *("0Gi", "1Ki", "0.5Ki", "1.5Gi", "1.0", "100Gi", "9" * 20 + "Ti", "0.0001", "1m", "500m", "0m", "8Gi", "16Gi"),
    *("0s", "00s", "90s", "9" * 6 + "h", "9" * 20 + "h", "1ep", "3steps", "0:0:1", "99999999999999999999:1:0"),
    *(
        "{{ .Values.name }}",
        "{{",
        "#",
        " #",
        "a: b",
        "a:",
        "- a",
        "-",
        "~",
        "",
        " ",
        " a ",
        "a\nb",
        "\t",
        "\x00",
        "\x7f",
        "\x85",
    ),
    *(
        "'",
        '"',
        "\\",
        "\\n",
        "%a",
        "&a",
        "*a",
        "!a",
        "|",
        ">",
        "@",
        "`",
        "é",
        "日本語",
        "😀",
        "\u2028",
        "\ufeff",
        "<&>",
        "$(HOME)",
    ),
    *("s3://b/\u2028#", "s3://b/{{ x }}", "s3://b/'\"", "file:///", "s3://b/ %日本"),
    *(
        "https://s3.example.com",
        "http://10.0.0.1:9000",
        "https://[::1]:9000/x",
        "http://h/a:8080",
        "https://a:99999",
        "http://a:0",
    ),
    *("http://user:pass@proxy:3128/", "http://#", "http://a: b".replace(" ", ""), 'http://"'),
    *("10.0.0.0/8", "10.0.0.5/8", "0.0.0.0/0", "::/0", "2600:1f18::/32", "1:2:3:4:5:6:7::/64", "fe80::/10"),
    *("registry.example:5000/a/b:1", "a@sha256:" + "0" * 64, "1e3:1", "a:", "a//b", "a@", "1:30", "0.1"),
    *("ca.crt", "..", ".", "..data"),
)
"""Texts that trouble YAML, templates, shells or Kubernetes; each is tried wherever the schema takes it."""


def text(part: Mapping[str, Any]) -> Values:
    """Give texts of a field: by its pattern, and the troublesome ones that fit."""
    pattern, longest = part.get("pattern"), part.get("maxLength", 10_000)
    if pattern is None:
        return st.sampled_from(WORDS) | st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
    fitting = [word for word in WORDS if len(word) <= longest and re.search(pattern.replace("$", r"\Z"), word)]
    made = st.from_regex(pattern.replace("$", r"\Z")).filter(lambda each: len(each) <= longest)
    return st.sampled_from(fitting) | made if fitting else made


def number(part: Mapping[str, Any], *, whole: bool) -> Values:
    """Give numbers of a field, its limits first."""
    least = part.get("minimum", 0)
    most = part.get("maximum", part.get("exclusiveMaximum", 10**22 + 1) - 1)
    if not whole:
        return st.floats(least, part.get("maximum", 1e300)).map(abs)
    edges = [each for each in (least, most, 2**31 - 1, 2**31, 2**53 + 1, 10**6, 65535) if least <= each <= most]
    return st.sampled_from(edges) | st.integers(least, min(most, least + 100)) | st.sampled_from(edges).map(float)


def of(part: Mapping[str, Any]) -> Values:
    """Give values that a part of the schema takes."""
    if "enum" in part:
        return st.sampled_from([each for each in part["enum"] if each is not None])
    kinds = [part["type"]] if isinstance(part["type"], str) else [kind for kind in part["type"] if kind != "null"]
    return st.one_of(_of_kind(kind, part) for kind in kinds)


def _of_kind(kind: str, part: Mapping[str, Any]) -> Values:
    match kind:
        case "string":
            return text(part)
        case "boolean":
            return st.booleans()
        case "integer" | "number":
            return number(part, whole=kind == "integer")
        case "array":
            return st.lists(of(part["items"]), max_size=3)
    if "properties" in part:
        fields = {name: of(field) for name, field in part["properties"].items()}
        needed = {name: fields.pop(name) for name in part.get("required", ())}
        return st.fixed_dictionaries(needed, optional=fields)
    if "patternProperties" in part:
        ((pattern, item),) = part["patternProperties"].items()
        keys = text({"pattern": pattern, **part.get("propertyNames", {})})
        return st.dictionaries(keys, of(item), max_size=3)
    if isinstance(part.get("additionalProperties"), Mapping):
        return st.dictionaries(text({}), of(part["additionalProperties"]), max_size=3)
    return st.dictionaries(text({}), JSON, max_size=3)


JSON: Final = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | text({}),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text({}), inner, max_size=3),
    max_leaves=6,
)

LABELS: Final = st.dictionaries(
    st.sampled_from(["team", "ocrfleet.io/run", "a.b/c"]), st.sampled_from(["", "a", "1", "true"])
)
EXPRESSION: Final = st.fixed_dictionaries(
    {"key": st.sampled_from(["team", "pool"]), "operator": st.just("In"), "values": st.just(["a", "1"])}
)
SELECTOR: Final = st.fixed_dictionaries(
    {}, optional={"matchLabels": LABELS, "matchExpressions": st.lists(EXPRESSION, max_size=2)}
)
OURS: Final = ("scans", "more")
NAMES: Final = st.sampled_from([*OURS, "run", "work", "cache", "tmp", "shared-memory"])
WORKDIR: Final = "/work"
"""OCRFLEET_WORKDIR of a pod, where the chart mounts the scratch volume."""

PATHS: Final = st.sampled_from(["/scans", "/more", "/scans/more", f"{WORKDIR}/more", f"{WORKDIR}/data/x", "/tmp/x"])
NEAR: Final = st.fixed_dictionaries(
    {"topologyKey": st.sampled_from(["rack", "kubernetes.io/hostname"]), "labelSelector": SELECTOR}
)
RULES: Final = st.fixed_dictionaries(
    {},
    optional={
        "requiredDuringSchedulingIgnoredDuringExecution": st.lists(NEAR, max_size=2),
        "preferredDuringSchedulingIgnoredDuringExecution": st.lists(
            st.fixed_dictionaries({"weight": st.integers(1, 100), "podAffinityTerm": NEAR}), max_size=2
        ),
    },
)
NODES: Final = st.just(
    {
        "requiredDuringSchedulingIgnoredDuringExecution": {
            "nodeSelectorTerms": [{"matchExpressions": [{"key": "pool", "operator": "Exists"}]}]
        }
    }
)
VOLUME: Final = st.builds(
    lambda name, source: {"name": name, **source},
    st.sampled_from(OURS),
    st.sampled_from([{"emptyDir": {}}, {"secret": {"secretName": "a"}}, {"persistentVolumeClaim": {"claimName": "a"}}]),
)
FROM: Final = st.sampled_from(
    [{"secretKeyRef": {"name": "a", "key": "b"}}, {"fieldRef": {"fieldPath": "status.podIP"}}]
)

VARIABLE: Final = st.builds(
    lambda name, value: {"name": name, **value},
    text(LEAVES["chart.extraEnv"]["items"]["properties"]["name"]),
    st.fixed_dictionaries({}, optional={"value": text({}), "valueFrom": st.none()})
    | st.fixed_dictionaries({"valueFrom": FROM}),
)
SMALL: Final = {
    "cpu": st.sampled_from(["100m", "1500m", 1, 2.0, "3"]),
    "memory": st.sampled_from(["512Mi", "1536Mi", "1500M", "1Gi"]),
    "ephemeral-storage": st.sampled_from(["1k", "500M", "1Gi"]),
}
LARGE: Final = {
    "cpu": st.sampled_from(["31850m", 4, 64.0, "999"]),
    "memory": st.sampled_from(["15000Mi", "64Gi", "99999Ti"]),
    "ephemeral-storage": st.sampled_from(["2Gi", "1T"]),
    **dict.fromkeys(["example.com/a", "a.b/c", "nvidia.com/gpu"], st.sampled_from([0, 1, "8", "3k"])),
}

CIDRS: Final = st.sampled_from(["0.0.0.0/0", "10.0.0.0/8", "1.2.3.4/32", "::/0", "2600:1f18::/32", "fe80::/10"])
HANDED_ON: Final[dict[str, Values]] = {
    "placement.tolerations": st.lists(
        st.sampled_from(
            [
                {"operator": "Exists"},
                {"key": "spot", "value": "yes", "effect": "NoSchedule"},
                {"key": "node.kubernetes.io/not-ready", "operator": "Exists", "effect": "NoExecute"},
                {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"},
            ]
        ),
        max_size=3,
    ),
    "chart.affinity": st.fixed_dictionaries(
        {}, optional={"podAffinity": RULES, "podAntiAffinity": RULES, "nodeAffinity": NODES}
    ),
    "chart.networkPolicy.metricsFrom.namespaceSelector": SELECTOR,
    "chart.networkPolicy.metricsFrom.podSelector": SELECTOR,
    "chart.networkPolicy.extraEgress": st.lists(
        st.fixed_dictionaries(
            {"ports": st.just([{"port": 3128}]), "to": st.lists(st.builds(lambda s: {"podSelector": s}, SELECTOR))}
        ),
        max_size=2,
    ),
    "placement.imagePullSecrets": st.lists(of(LEAVES["placement.imagePullSecrets"]["items"]), max_size=3, unique=True),
    "placement.resources.requests": st.fixed_dictionaries({}, optional=SMALL),
    "placement.resources.limits": st.fixed_dictionaries({}, optional=LARGE),
    "chart.rdma.resource": of(LEAVES["chart.rdma.resource"]).filter(lambda name: not name.startswith("requests.")),
    "chart.networkPolicy.dns.cidrs": st.lists(CIDRS, max_size=3),
    "chart.networkPolicy.s3.cidrs": st.lists(CIDRS, max_size=3),
    "chart.extraEnv": st.lists(VARIABLE, max_size=3, unique_by=lambda each: each["name"]),
    "chart.extraVolumes": st.lists(VOLUME, max_size=3, unique_by=lambda each: each["name"]),
    "chart.extraVolumeMounts": st.lists(
        st.fixed_dictionaries({"name": NAMES, "mountPath": PATHS}), max_size=3, unique_by=lambda each: each["mountPath"]
    ),
    "run.config": st.dictionaries(st.sampled_from(["Global", "Train", "é"]), JSON, max_size=3),
}
"""Well-formed values of what is Kubernetes' affair, or PaddleOCR's."""


def _values(path: str) -> Values:
    made = HANDED_ON[path] if path in HANDED_ON else of(LEAVES[path])
    optional = "null" in LEAVES[path]["type"]
    return st.one_of(made, made, made, made, st.none()) if optional else made


VALUES: Final = {path: _values(path) for path in LEAVES if path != "placement.engine"}


@st.composite
def job_files(draw: st.DrawFn, engines: tuple[str, ...]) -> dict[str, Any]:
    """Give a job file with a few fields set, and beside each what it needs."""
    fields: dict[str, Any] = {"placement.engine": draw(st.sampled_from(engines))}
    for path in draw(st.lists(st.sampled_from(sorted(VALUES)), max_size=10, unique=True)):
        fields = {**NEEDS.get(path, {}), **fields, path: draw(VALUES[path])}
    if fields.get("chart.extraVolumeMounts"):
        fields["chart.extraVolumes"] = [{"name": name, "emptyDir": {}} for name in OURS]
    return with_fields(fields)
