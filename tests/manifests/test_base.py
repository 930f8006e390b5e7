"""The roles of manifests/base give no more than the commands take."""

from pathlib import Path
from typing import Any

import pytest
import yaml

BASE = Path(__file__).parents[2] / "manifests" / "base"
ROLES = {
    each["metadata"]["name"]: each
    for path in sorted(BASE.glob("*.yaml"))
    for each in yaml.safe_load_all(path.read_text("utf-8"))
    if each["kind"] == "ClusterRole"
}


def granted(role: str) -> set[tuple[str, str, str]]:
    """Give group, resource and verb of all that a role grants."""
    rules: list[dict[str, Any]] = ROLES[role]["rules"]
    return {
        (group, resource, verb)
        for rule in rules
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


def test_the_kustomization_has_every_file() -> None:
    listed = yaml.safe_load((BASE / "kustomization.yaml").read_text("utf-8"))["resources"]
    assert sorted([*listed, "kustomization.yaml"]) == sorted(path.name for path in BASE.iterdir())


@pytest.mark.parametrize("role", ["ocrfleet-user", "ocrfleet-automation"])
def test_no_role_reads_secrets_or_grants_rights(role: str) -> None:
    for group, resource, verb in granted(role):
        assert "*" not in (group, resource, verb)
        assert resource != "secrets"
        assert group != "rbac.authorization.k8s.io"
        assert verb != "deletecollection"


@pytest.mark.parametrize("role", ["ocrfleet-user", "ocrfleet-automation"])
def test_every_role_may_get_a_namespace_and_no_more_of_it(role: str) -> None:
    """A binding of one namespace lets its own be read; to list them takes more than a binding."""
    assert {verb for _, resource, verb in granted(role) if resource == "namespaces"} == {"get"}


def test_automation_may_a_part_of_what_a_user_may() -> None:
    more = granted("ocrfleet-user") - granted("ocrfleet-automation")
    assert granted("ocrfleet-automation") < granted("ocrfleet-user")
    assert {verb for _, _, verb in granted("ocrfleet-automation")} == {"get", "list", "watch", "create", "patch"}
    assert ("", "pods/exec", "create") in more
