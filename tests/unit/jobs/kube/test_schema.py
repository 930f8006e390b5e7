"""The parts that the chart passes on to Kubernetes are judged as the API server would, before they reach it."""

from functools import partial
from typing import Any

import pytest
import yaml

from jobs.jobfile import text
from jobs.kube import schema
from trainer.errors import SpecError

HEAD = "apiVersion: ocrfleet.io/v1\n"


def faults(part: str) -> list[str]:
    """What is said of a job file with nothing but this part."""
    try:
        values = text.read(HEAD + part)
        schema.check(values, written=partial(text.written_in, values))
    except SpecError as error:
        return str(error).splitlines()
    return []


TAKEN: list[dict[str, Any]] = [
    {"placement": {}},
    {"placement": {"tolerations": None}, "chart": None},
    {
        "placement": {
            "tolerations": [
                {"key": "b", "operator": "", "effect": ""},
                {"operator": "Exists"},
                {"key": "a", "effect": None, "tolerationSeconds": 30},
            ]
        }
    },
    {
        "chart": {
            "affinity": {
                "nodeAffinity": {
                    "requiredDuringSchedulingIgnoredDuringExecution": {
                        "nodeSelectorTerms": [{"matchExpressions": [{"key": "a", "operator": "In", "values": ["1"]}]}]
                    }
                }
            },
            "extraVolumes": [
                {"name": "a", "emptyDir": {"medium": "Memory", "sizeLimit": 1000}},
                {"name": "b", "csi": {"driver": "d", "readOnly": True, "volumeAttributes": {"share": "x"}}},
                {
                    "name": "c",
                    "ephemeral": {"volumeClaimTemplate": {"spec": {"resources": {"requests": {"storage": 1}}}}},
                },
            ],
            "extraVolumeMounts": [{"name": "a", "mountPath": "/a"}],
            "extraEnv": [{"name": "A", "value": "1"}, {"name": "B", "valueFrom": {"fieldRef": {"fieldPath": "x"}}}],
            "networkPolicy": {
                "extraEgress": [{"to": [{"podSelector": {}}], "ports": [{"port": 80}, {"port": "web"}]}],
                "metricsFrom": {"podSelector": {"matchLabels": {"app": "p"}}},
            },
        }
    },
]


@pytest.mark.parametrize("part", TAKEN)
def test_what_the_api_server_takes_is_taken(part: dict[str, Any]) -> None:
    assert faults(yaml.safe_dump(part)) == []


@pytest.mark.parametrize(
    ("part", "said"),
    [
        (
            "placement: {tolerations: [{key: spot, value: yes}]}",
            'placement.tolerations.0.value is yes, which YAML does not read as a string: put it in quotes, "yes".',
        ),
        (
            "placement: {tolerations: [{key: spot, value: 007}]}",
            'placement.tolerations.0.value is 007, which YAML does not read as a string: put it in quotes, "007".',
        ),
        (
            "placement: {tolerations: [{key: a, tolerationSeconds: '300'}]}",
            "placement.tolerations.0.tolerationSeconds is '300': write a whole number, without quotes.",
        ),
        (
            "placement: {tolerations: [{key: a, tolerationSeconds: 1.5}]}",
            "placement.tolerations.0.tolerationSeconds is 1.5: write a whole number.",
        ),
        (
            "placement: {tolerations: [{key: a, effect: noSchedule}]}",
            "placement.tolerations.0.effect is 'noSchedule'. Use one of: NoSchedule, PreferNoSchedule, NoExecute.",
        ),
        (
            "placement: {tolerations: [{key: a, efect: NoSchedule}]}",
            "placement.tolerations.0.efect is not a field. Did you mean 'effect'?",
        ),
        (
            "placement: {tolerations: [{key: a, toleration_seconds: 1}]}",
            "placement.tolerations.0.toleration_seconds is not a field. Did you mean 'tolerationSeconds'?",
        ),
        ("placement: {tolerations: {key: a}}", "placement.tolerations is {'key': 'a'}: write a list."),
        ("placement: {tolerations: [a]}", "placement.tolerations.0 is 'a': write a mapping."),
        (
            "chart: {affinity: {nodeAffinity: {requiredDuringSchedulingIgnoredDuringExecution: {}}}}",
            "chart.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms is missing.",
        ),
        ("chart: {extraVolumeMounts: [{name: a}]}", "chart.extraVolumeMounts.0.mountPath is missing."),
        (
            "chart: {extraVolumeMounts: [{name: a, mountPath: /a, readOnly: 'true'}]}",
            "chart.extraVolumeMounts.0.readOnly is 'true': write true or false, without quotes.",
        ),
        (
            "chart: {extraVolumes: [{name: a, csi: {driver: d, volumeAttributes: {share: [x]}}}]}",
            "chart.extraVolumes.0.csi.volumeAttributes.share is ['x']: write a string.",
        ),
        (
            "chart: {extraEnv: [{name: A, valueFrom: {secretKeyRef: {name: s}}}]}",
            "chart.extraEnv.0.valueFrom.secretKeyRef.key is missing.",
        ),
        (
            "chart: {networkPolicy: {metricsFrom: {podSelector: {matchLabels: {tier: 1}}}}}",
            "chart.networkPolicy.metricsFrom.podSelector.matchLabels.tier is 1, which YAML does not read as a string: "
            'put it in quotes, "1".',
        ),
        (
            "chart: {networkPolicy: {extraEgress: [{ports: [{protocol: tcp}]}]}}",
            "chart.networkPolicy.extraEgress.0.ports.0.protocol is 'tcp'. Use one of: TCP, UDP, SCTP.",
        ),
    ],
)
def test_what_it_refuses_is_refused_with_its_place_and_a_remedy(part: str, said: str) -> None:
    assert faults(part) == [said]


def test_all_faults_are_told_at_once() -> None:
    assert len(faults("placement: {tolerations: [{value: 1}, {value: 2}]}\nchart: {extraVolumes: [{}]}")) == 3
