"""The policy that narrows a submitter's patch covers what the roles may patch, and lets the chart's objects through."""

import re
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from tests.chart.helm import in_process
from tests.chart.test_leaves import with_fields
from tests.manifests.test_base import BASE, ROLES, granted

FOLDER: Final = Path(__file__).parents[2] / "manifests" / "components" / "own-objects"
POLICY, BINDING = yaml.safe_load_all((FOLDER / "policy.yaml").read_text("utf-8"))
(VALIDATION,) = POLICY["spec"]["validations"]
NOT_OURS: Final = {("kueue.x-k8s.io", "workloads"), ("", "pods")}
"""Kueue makes the Workloads of our runs; pods are patched by the dry run of `check` only, which names a new one."""


def test_the_kustomization_has_every_file() -> None:
    listed = yaml.safe_load((FOLDER / "kustomization.yaml").read_text("utf-8"))["resources"]
    assert sorted([*listed, "kustomization.yaml"]) == sorted(path.name for path in FOLDER.iterdir())


def test_the_policy_covers_what_a_submitter_may_patch_and_not_delete() -> None:
    rights = granted("ocrfleet-user")
    patched = {
        (group, resource)
        for group, resource, verb in rights
        if verb == "patch" and (group, resource, "delete") not in rights
    }
    covered = {
        (group, resource)
        for rule in POLICY["spec"]["matchConstraints"]["resourceRules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
    }
    assert covered == patched - NOT_OURS
    assert all(rule["operations"] == ["UPDATE"] for rule in POLICY["spec"]["matchConstraints"]["resourceRules"])


@pytest.mark.parametrize("role", ROLES)
def test_no_role_of_ours_has_the_right_by_which_the_policy_excuses_others(role: str) -> None:
    (condition,) = POLICY["spec"]["matchConditions"]
    (verb,) = re.findall(r"^!authorizer\.requestResource\.check\('(\w+)'\)\.allowed\(\)$", condition["expression"])
    assert verb not in {verb for _, _, verb in granted(role)}


def test_every_object_of_the_chart_that_the_policy_covers_has_the_label_that_it_wants() -> None:
    (wanted,) = re.findall(r"labels\['([^']+)'\] == '([^']+)'$", VALIDATION["expression"])
    fields = {"chart.podMonitor.enabled": True, "chart.podMonitoring.enabled": True}
    made: list[dict[str, Any]] = [
        each for text in in_process(with_fields(fields)).values() for each in yaml.safe_load_all(text)
    ]
    covered = [each for each in made if each["kind"] not in {"Job", "Pod"}]
    assert {each["kind"] for each in covered} == {
        "NetworkPolicy",
        "PodMonitor",
        "PodMonitoring",
        "Service",
        "ServiceAccount",
    }
    for each in covered:
        assert wanted in each["metadata"]["labels"].items(), each["kind"]


def test_the_binding_selects_the_namespace_of_the_base_and_denies() -> None:
    assert BINDING["spec"]["policyName"] == POLICY["metadata"]["name"]
    assert BINDING["spec"]["validationActions"] == ["Deny"]
    selected = BINDING["spec"]["matchResources"]["namespaceSelector"]["matchLabels"]
    namespace = yaml.safe_load((BASE / "namespace.yaml").read_text("utf-8"))
    assert selected.items() <= namespace["metadata"]["labels"].items()
