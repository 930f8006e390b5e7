"""Every field of the job file changes what is rendered, or is refused with a sentence."""

import copy
import json
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any, Final

import pytest

from docs.chart import CHART, EXAMPLES, LEAST
from tests.chart.helm import in_process, outcome

ENGINES: Final = tuple(sorted(path.stem[1:] for path in CHART.glob("templates/engines/_*.tpl")))
SCHEMA: Final = json.loads((CHART / "values.schema.json").read_text("utf-8"))
UNREAD: Final = {
    "apiVersion": "one value is all that the schema takes",
    "global": "for parent charts",
}

OTHERS: Final[dict[str, Any]] = {
    **EXAMPLES,
    "name": "other",
    "run.task": "det",
    "run.recipe": "other",
    "run.config": {"Global": {"epoch_num": 2}},
    "run.overrides": {"Global.epoch_num": 2},
    "run.distill.networks": {"Student2": "Student"},
    "run.data.train": "s3://other/",
    "run.data.split": "8:1:1",
    "run.data.dictionary": "en_dict",
    "run.output": "s3://other/",
    "run.train.evaluateEvery": "2ep",
    "run.checkpoint.every": "10m",
    "run.publish.formats": [],
    "placement.device": "cpu",
    "placement.storage.cache.emptyDir": "60Gi",
    "placement.imagePullSecrets": ["registry"],
    "placement.resources.requests": {"cpu": 4},
    "placement.resources.limits": {"memory": "32Gi"},
    "placement.nodeSelector": {"pool": "ocr"},
    "placement.tolerations": [{"key": "spot", "operator": "Exists"}],
    "placement.storage.scratch": "30Gi",
    "placement.storage.sharedMemory": "4Gi",
    "placement.deadlines.rendezvous": "40m",
    "placement.deadlines.stall": "40m",
    "placement.deadlines.run": "40m",
    "placement.debug.holdOnFailure": "40m",
    "schedule.timeZone": "Asia/Shanghai",
    "chart.serviceAccount.annotations": {"team": "ocr"},
    "chart.identity.preset": "gke",
    "chart.networkPolicy.dns.cidrs": ["10.0.0.0/8"],
    "chart.networkPolicy.s3.cidrs": ["10.0.0.0/8"],
    "chart.networkPolicy.s3.ports": [8333],
    "chart.networkPolicy.extraEgress": [{"ports": [{"port": 3128}]}],
    "chart.podMonitor.labels": {"release": "prometheus"},
    "chart.podMonitor.interval": "1m",
    "chart.podMonitoring.interval": "1m",
    "chart.proxy.noProxy": ["internal.example.com"],
    "chart.caBundle.key": "all.pem",
    "chart.securityContext.supplementalGroups": [2000],
    "chart.affinity": {"podAntiAffinity": {}},
    "chart.tmp": "2Gi",
    "chart.podLabels": {"team": "ocr"},
    "chart.podAnnotations": {"team": "ocr"},
    "chart.extraEnv": [{"name": "TZ", "value": "Asia/Shanghai"}],
    "chart.extraVolumes": [{"name": "scans", "emptyDir": {}}],
    "chart.extraVolumeMounts": [{"name": "scans", "mountPath": "/scans"}],
}
"""A value for each field whose next value does not follow from its default."""

NEEDS: Final[dict[str, dict[str, Any]]] = {
    "run.config": {"run.recipe": None, "run.config": {"Global": {"epoch_num": 1}}},
    "run.init.pretrained": {"run.init.sha256": "0" * 64},
    "placement.storage.cache.storageClass": {"placement.storage.cache.ephemeral": "1Gi"},
    "chart.identity.role": {
        "chart.identity.preset": "aws-irsa",
        "chart.identity.role": "arn:aws:iam::000000000000:role/x",
    },
    "placement.storage.cache.accessMode": {"placement.storage.cache.ephemeral": "1Gi"},
    "chart.identity.account": {"chart.identity.preset": "gke"},
    "chart.identity.clientId": {
        "chart.identity.preset": "azure",
        "chart.identity.clientId": "11111111-0000-0000-0000-000000000000",
    },
    "chart.podMonitor.labels": {"chart.podMonitor.enabled": True},
    "chart.podMonitor.interval": {"chart.podMonitor.enabled": True},
    "chart.podMonitoring.interval": {"chart.podMonitoring.enabled": True},
    "chart.caBundle.key": {"chart.caBundle.configMap": "ours"},
    "chart.rdma.count": {"chart.rdma.resource": "rdma.example.com/hca"},
    "chart.topology.required": {"chart.topology.key": "rack"},
}
"""What a field needs beside it: without that it is refused, or has nothing to say anything about."""

REFUSED: Final = {
    "notify.webhookSecret": "notify.webhookSecret is set, but webhooks are not available yet",
    "placement.engine": "placement.engine is auto: only `ocrfleet submit` can ask the cluster.",
} | {
    f"schedule.{field}": "schedule is set, but scheduled runs are not available yet"
    for field in ("cron", "timeZone", "skipIfUnchanged", "suspendAfterFailures")
}
"""What is refused whatever is beside it, and how."""

SILENT: Final = {
    "trainjob": {
        "placement.priority": "but a TrainJob cannot set the priority of its pods: also set placement.queue",
        "chart.imagePullPolicy": "but a TrainJob cannot set it and its runtime has IfNotPresent",
        "chart.serviceAccount.automountToken": "but a TrainJob cannot set it and its runtime mounts no token",
    },
    "volcano": {"placement.deadlines.run": "but a Job of Volcano has no deadline: remove it"},
}
"""What an engine has no word for, and how it is refused there."""


def leaves(part: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Give every field that holds a value, by its path."""
    for name, field in part["properties"].items():
        if "properties" in field:
            yield from leaves(field, f"{path}{name}.")
        else:
            yield f"{path}{name}", field


LEAVES: Final = {path: field for path, field in leaves(SCHEMA) if path not in UNREAD}


def other(path: str) -> Any:
    """Give a value of a field that is not its default."""
    field = LEAVES[path]
    if path == "placement.engine":
        return "auto"
    if path in OTHERS:
        return OTHERS[path]
    default = field.get("default")
    if "enum" in field:
        return next(value for value in field["enum"] if value != default)
    return not default if isinstance(default, bool) else default + (1 if isinstance(default, int) else 0.001)


def with_fields(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Give the least job, with fields set."""
    job: dict[str, Any] = copy.deepcopy(LEAST)
    for path, value in fields.items():
        place, (*steps, last) = job, path.split(".")
        for step in steps:
            place = place.setdefault(step, {})
        place[last] = value
    return job


@cache
def plain(engine: str, needs: str = "{}") -> dict[str, str]:
    return in_process(with_fields({"placement.engine": engine, **json.loads(needs)}))


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("path", LEAVES)
def test_another_value_changes_the_render_or_is_refused(path: str, engine: str) -> None:
    needs = NEEDS.get(path, {})
    made = outcome(with_fields({"placement.engine": engine, **needs, path: other(path)}))
    if path in REFUSED:
        assert isinstance(made, str)
        assert made.startswith(REFUSED[path])
    elif words := SILENT.get(engine, {}).get(path):
        assert isinstance(made, str)
        assert words in made
    else:
        assert isinstance(made, dict)
        assert made != plain(engine, json.dumps(needs))


@pytest.mark.parametrize("path", NEEDS)
def test_what_a_field_needs_beside_it_is_needed(path: str) -> None:
    """The table has nothing that hides a field without effect."""
    made = outcome(with_fields({path: other(path)}))
    assert isinstance(made, str) or made == plain("job")


@pytest.mark.parametrize(
    "needs",
    [
        {"chart.identity.preset": "aws-irsa", "chart.identity.role": EXAMPLES["chart.identity.role"]},
        {"chart.identity.preset": "aws-pod-identity"},
        {"chart.identity.preset": "azure", "chart.identity.clientId": EXAMPLES["chart.identity.clientId"]},
    ],
)
def test_every_preset_makes_a_difference(needs: dict[str, Any]) -> None:
    assert in_process(with_fields(needs)) != plain("job")
