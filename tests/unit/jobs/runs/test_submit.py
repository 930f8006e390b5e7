"""The objects of a job are written together: all are checked first, and the workload is last."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.unit.jobs.apiserver import Answer, ApiServer
from tests.unit.jobs.submitted import job

__all__ = ["job"]

Ocrfleet = Callable[..., Any]


def applied(api: ApiServer) -> list[tuple[str, str]]:
    """Give the kinds that were applied, in their order, and whether it was a dry run."""
    return [(body["kind"], query.get("dryRun", "")) for verb, _, query, body in api.asked if verb == "PATCH"]


KINDS = ["NetworkPolicy", "Service", "ServiceAccount", "Job"]


def test_all_is_checked_before_the_first_is_made_and_the_workload_is_last(
    api: ApiServer, ocrfleet: Ocrfleet, job: Path
) -> None:
    ran = ocrfleet("submit", job)
    assert ran.code == 0
    asked = applied(api)
    # The checks are made at once, and so are all but the workload.
    assert sorted(asked[: len(KINDS)]) == sorted((kind, "All") for kind in KINDS)
    assert sorted(asked[len(KINDS) : -1]) == [(kind, "") for kind in KINDS[:-1]]
    assert asked[-1] == (KINDS[-1], "")
    (name,) = (path.rpartition("/")[2] for path in api.objects if "/jobs/" in path)
    assert ran.out == f"{name.rpartition('-')[0]}\n"
    assert f"Job {name}: created" in ran.err


def test_the_same_file_again_changes_nothing(api: ApiServer, ocrfleet: Ocrfleet, job: Path) -> None:
    first = ocrfleet("submit", job)
    before = copy.deepcopy(api.objects)
    again = ocrfleet("submit", job)
    assert (again.code, again.out) == (0, first.out)
    assert "Nothing changed." in again.err
    assert api.objects == before


def test_what_the_server_refuses_leaves_nothing_half_made(api: ApiServer, ocrfleet: Ocrfleet, job: Path) -> None:
    api.refused.add(("patch", "jobs"))
    ran = ocrfleet("submit", job)
    assert ran.code == 42
    assert "cannot patch" in ran.err
    assert api.objects == {}


def test_a_server_that_is_away_for_longer_is_said(api: ApiServer, ocrfleet: Ocrfleet, job: Path) -> None:
    api.next = [Answer(503, "starting", {"Retry-After": "60"})]
    ran = ocrfleet("submit", job, "--timeout", "1s")
    assert (ran.code, ran.out) == (75, "")


def helm_owns(api: ApiServer) -> None:
    """Let all that is there be of a Helm release, labelled as Helm does."""
    for each in api.objects.values():
        each["metadata"]["annotations"]["meta.helm.sh/release-name"] = "slips"
        each["metadata"]["labels"]["app.kubernetes.io/managed-by"] = "Helm"


def test_what_helm_has_made_is_used_and_left_alone(api: ApiServer, ocrfleet: Ocrfleet, job: Path) -> None:
    ocrfleet("submit", job)
    helm_owns(api)
    before = copy.deepcopy(api.objects)
    ran = ocrfleet("submit", job, "--set", "run.train.seed=7")
    assert ran.code == 0
    assert "Service slips-rec: unchanged: the Helm release slips owns it" in ran.err
    assert {path: each for path, each in api.objects.items() if path in before} == before
    assert len(api.objects) == len(before) + 1


def test_what_helm_has_made_otherwise_is_refused(api: ApiServer, ocrfleet: Ocrfleet, job: Path) -> None:
    ocrfleet("submit", job)
    helm_owns(api)
    (policy,) = (each for each in api.objects.values() if each["kind"] == "NetworkPolicy")
    policy["spec"]["egress"] = []
    before = copy.deepcopy(api.objects)
    ran = ocrfleet("submit", job, "--set", "run.train.seed=7")
    assert ran.code == 40
    assert "NetworkPolicy slips-rec belongs to the Helm release 'slips'" in ran.err
    assert "`helm upgrade slips`" in ran.err
    assert api.objects == before


def test_what_is_being_deleted_is_not_written_to(api: ApiServer, ocrfleet: Ocrfleet, job: Path) -> None:
    ocrfleet("submit", job)
    for each in api.objects.values():
        each["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    ran = ocrfleet("submit", job)
    assert ran.code == 75
    assert "is being deleted" in ran.err
