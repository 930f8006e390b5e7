"""Runs are found by the words that users have for them, in what a real cluster's objects say."""

import copy
from typing import Any

import pytest

from jobs.diagnosis.observe import observe
from jobs.kube.client import Cluster
from jobs.kube.fields import name_of
from jobs.runs import find
from tests.objects import Object
from tests.unit.jobs.apiserver import ApiServer
from tests.unit.jobs.states.read import NOW, recorded
from trainer.errors import AccessError, NotFoundError


def held(api: ApiServer, state: str, **metadata: Any) -> Object:
    """Let the server have a recorded state, in namespace `ml`; give the workload."""
    objects = recorded(state)
    objects["workload"]["metadata"] |= metadata
    queued = [objects["queued"]] if objects["queued"] else []
    for each in (objects["workload"], *objects["inner"], *objects["pods"], *objects["events"], *queued):
        for one in (each["metadata"], *each["metadata"].get("ownerReferences", [])):
            # Recordings have none.
            one["uid"] = f"{one.get('kind', each['kind'])}-{one['name']}"
        api.put({"apiVersion": "v1", **each}, namespace="ml")
    workload: Object = objects["workload"]
    return workload


def another(api: ApiServer, workload: Object, name: str, run: str, created: str) -> None:
    made = copy.deepcopy(workload)
    labels = {**made["metadata"]["labels"], "ocrfleet.io/run": run}
    made["metadata"] |= {"name": name, "uid": name, "labels": labels, "creationTimestamp": created}
    api.put(made, namespace="ml")


@pytest.fixture
def ml(api: ApiServer) -> Cluster:
    return Cluster(namespace="ml", deadline=5)


@pytest.mark.parametrize(
    ("word", "name"),
    [
        ("lines-1a2b3c4d-9f0e", "lines-1a2b3c4d-9f0e"),
        ("lines-1a2b3c4d", "lines-1a2b3c4d-0002"),
        ("lines", "lines-00000000-0003"),
    ],
)
def test_a_word_is_an_object_a_run_or_a_jobs_newest(word: str, name: str, api: ApiServer, ml: Cluster) -> None:
    first = held(api, "job-running")
    another(api, first, "lines-1a2b3c4d-0002", "lines-1a2b3c4d", "2026-11-24T00:00:00Z")
    another(api, first, "lines-00000000-0003", "lines-00000000", "2026-11-25T00:00:00Z")
    assert name_of(find.find(ml, word)) == name


def test_a_superseded_object_stands_for_its_run_only_when_there_is_no_other(api: ApiServer, ml: Cluster) -> None:
    older = held(api, "job-exit-46", creationTimestamp="2026-11-26T00:00:00Z")
    assert name_of(find.find(ml, "lines")) == name_of(older)
    another(api, recorded("job-running")["workload"], "lines-1a2b3c4d-0002", "lines-1a2b3c4d", "2026-11-25T00:00:00Z")
    assert name_of(find.find(ml, "lines-1a2b3c4d")) == "lines-1a2b3c4d-0002"


def test_a_wrong_word_is_answered_with_the_nearest(api: ApiServer, ml: Cluster) -> None:
    with pytest.raises(NotFoundError, match="It has no runs at all"):
        find.find(ml, "lines")
    held(api, "job-running")
    with pytest.raises(NotFoundError, match=r"namespace ml has no run 'lnes'\. Did you mean 'lines'"):
        find.find(ml, "lnes")


def test_of_many_names_none_is_listed(api: ApiServer, ml: Cluster) -> None:
    first = held(api, "job-running")
    for number in range(5):
        another(api, first, f"lines-0000000{number}-0001", f"lines-0000000{number}", "2026-11-24T00:00:00Z")
    with pytest.raises(NotFoundError, match=r"has no run 'x'\. `ocrfleet list` shows all runs\.$"):
        find.find(ml, "x")


@pytest.mark.parametrize(("owner", "runs"), [("JobSet", 1), ("TrainJob", 1), ("CronJob", 2)])
def test_what_another_engines_object_has_made_is_part_of_that_and_no_run(
    owner: str, runs: int, api: ApiServer, ml: Cluster
) -> None:
    first = held(api, "job-running")
    made = copy.deepcopy(first)
    made["metadata"] |= {"name": "made", "uid": "made", "ownerReferences": [{"kind": owner, "uid": "another"}]}
    api.put(made, namespace="ml")
    assert len(find.workloads(ml)) == runs


def test_the_pod_group_of_a_volcano_job_is_the_one_that_it_owns(api: ApiServer, ml: Cluster) -> None:
    workload = api.put(
        {"apiVersion": "batch.volcano.sh/v1alpha1", "kind": "Job", "metadata": {"name": "a", "uid": "a"}},
        namespace="ml",
    )
    for owner in ("a", "b"):
        metadata = {"name": f"{owner}-group", "ownerReferences": [{"kind": "Job", "uid": owner}]}
        group = {"apiVersion": "scheduling.volcano.sh/v1beta1", "kind": "PodGroup", "metadata": metadata}
        api.put(group, namespace="ml")
    assert [name_of(each) for each in find.gather(ml, workload, now=NOW).inner] == ["a-group"]


def test_what_may_not_be_read_is_said_only_when_nothing_may(api: ApiServer, ml: Cluster) -> None:
    held(api, "jobset-running")
    api.refused = {("list", plural) for plural in ("jobs", "paddlejobs")}
    assert len(find.workloads(ml)) == 1
    api.refused |= {("list", plural) for plural in ("jobsets", "trainjobs")}
    with pytest.raises(AccessError):
        find.workloads(ml)


@pytest.mark.parametrize(
    "state",
    [
        "job-running",
        "job-pull",
        "jobset-exit-42",
        "trainjob-running",
        "trainjob-exit-43",
        "kueue-waiting",
        "kueue-stopped",
    ],
)
def test_gathered_objects_say_what_the_recorded_ones_say(state: str, api: ApiServer, ml: Cluster) -> None:
    """Only the rivals and machines, of other namespaces, are not put on the server here."""
    workload = held(api, state)
    api.groups["kueue.x-k8s.io"] = "kueue.x-k8s.io/v1beta2"
    found = find.gather(ml, workload, now=NOW)
    expected = recorded(state)
    assert {name_of(each) for each in found.pods} == {name_of(each) for each in expected["pods"]}
    assert {name_of(each) for each in found.inner} == {name_of(each) for each in expected["inner"]}
    assert name_of(found.queued or {}) == name_of(expected["queued"] or {})
    told = observe(found)
    assert told.phase.value in ("Running", "Waiting", "Queued", "Stopped", "Failed")
    assert told.exit_code == {"jobset-exit-42": 42, "trainjob-exit-43": 43}.get(state)
