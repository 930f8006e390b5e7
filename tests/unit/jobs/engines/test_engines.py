"""All engines side by side: which is which, and by which labels of the chart each finds its pods."""

from typing import Any

import pytest

from jobs.engines import ENGINES, engine_of
from jobs.jobfile import text as jobtext
from jobs.jobfile.placement import Engine as EngineName
from jobs.rendering.render import render
from tests.unit.jobs.engines.test_runfile import JOB
from tests.unit.jobs.states.read import FILES, recorded
from trainer import contract


def test_every_engine_of_the_job_file_has_its_table() -> None:
    assert {*ENGINES, "auto"} == set(EngineName.__args__)


@pytest.mark.parametrize(
    ("version", "kind", "name"),
    [
        ("batch/v1", "Job", "job"),
        ("batch.volcano.sh/v1alpha1", "Job", "volcano"),
        ("jobset.x-k8s.io/v1alpha2", "JobSet", "jobset"),
        ("jobset.x-k8s.io/v1", "JobSet", "jobset"),
        ("trainer.kubeflow.org/v1alpha1", "TrainJob", "trainjob"),
        ("kubeflow.org/v1", "PaddleJob", "paddlejob"),
    ],
)
def test_an_object_is_known_by_its_group_and_kind(version: str, kind: str, name: str) -> None:
    assert engine_of({"apiVersion": version, "kind": kind}) is ENGINES[name]


@pytest.mark.parametrize(("version", "kind"), [("batch/v1", "JobSet"), ("apps/v1", "Job"), ("batch/v1", "CronJob")])
def test_what_shares_only_group_or_kind_is_of_no_engine(version: str, kind: str) -> None:
    assert engine_of({"apiVersion": version, "kind": kind}) is None


@pytest.mark.parametrize("state", [state for state in FILES if recorded(state)["pods"]])
def test_an_engine_finds_its_recorded_pods_and_their_ranks_by_label(state: str) -> None:
    objects = recorded(state)
    engine = engine_of(objects["workload"])
    assert engine
    key, _, value = engine.pod_selector(objects["workload"]["metadata"]["name"]).partition("=")
    for pod in objects["pods"]:
        labels = pod["metadata"]["labels"]
        assert labels[key] == value
        assert labels[engine.RANK_LABEL] in ("0", "1")


@pytest.mark.parametrize("state", FILES)
def test_an_engine_knows_how_many_nodes_a_recorded_object_has(state: str) -> None:
    found: dict[str, Any] = recorded(state)["workload"]
    engine = engine_of(found)
    assert engine
    assert engine.size(found) == (1 if state == "job-memory" else 2)


def variables(found: Any) -> dict[str, str]:
    """Return the paths that a rendered object's containers take their variables from, wherever it has its pods."""
    if isinstance(found, list):
        return {name: path for each in found for name, path in variables(each).items()}
    if not isinstance(found, dict):
        return {}
    if path := found.get("valueFrom", {}).get("fieldRef", {}).get("fieldPath"):
        return {found["name"]: path}
    return variables(list(found.values()))


@pytest.mark.parametrize("name", ENGINES)
def test_ranks_are_read_off_the_label_that_the_chart_gives_the_pods_theirs_from(name: str) -> None:
    found = render(jobtext.read(JOB, sets=[f"placement.engine={name}"])).workload
    engine = engine_of(found)
    assert engine is ENGINES[name]
    assert (found["apiVersion"], found["kind"]) == (engine.VERSION, engine.KIND)
    told = variables(found)
    assert told[contract.ENV_NODE_RANK] == f"metadata.labels['{engine.RANK_LABEL}']"
    # A JobSet's pods are told the name of its Job, which is not the JobSet's.
    key = "batch.kubernetes.io/job-name" if name == "jobset" else engine.pod_selector("").removesuffix("=")
    assert told[contract.ENV_OBJECT] == f"metadata.labels['{key}']"
    assert engine.size(found) == 2
    assert not engine.suspended(found)
