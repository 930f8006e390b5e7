"""The runtime that an administrator installs is the chart's, and leaves no field of the pod template to nobody."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from docs import runtime
from docs.chart import CHART
from tests.chart.helm import HelmError, rendered
from tests.chart.test_render import workload

CASES = sorted(CHART.glob("ci/*-values.yaml"))
OF_JOBSET = {"subdomain"}
"""Fields of the pod that JobSet writes."""
OF_THE_RUN = {"trainer": {"image", "resources"}, "job": {"activeDeadlineSeconds", "completions", "parallelism"}}
"""Fields that a TrainJob has under other names, and Trainer puts in their place."""


def node(spec: dict[str, Any]) -> dict[str, Any]:
    """Give the Job of a JobSet's or a runtime's template, or of what a TrainJob lays over it."""
    (found,) = spec["replicatedJobs"]
    assert found["name"] == "node"
    inner: dict[str, Any] = found["template"]["spec"]
    return inner


def patched(trainjob: dict[str, Any]) -> dict[str, Any]:
    (patch,) = trainjob["spec"]["runtimePatches"]
    return node(patch["trainingRuntimeSpec"]["template"]["spec"])


def container(job: dict[str, Any]) -> dict[str, Any]:
    (found,) = job["template"]["spec"]["containers"]
    assert isinstance(found, dict)
    return found


def test_the_runtime_is_what_the_chart_makes_of_it() -> None:
    assert yaml.safe_load(runtime.FILE.read_text("utf-8")) == runtime.runtime()


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_what_a_trainjob_leaves_unsaid_the_runtime_says(path: Path) -> None:
    """Each field of a JobSet's pods is in the TrainJob's patch, or in the runtime with the same value."""
    whole = node(workload(rendered("helm4", path, "placement.engine=jobset"))["spec"])
    patch = patched(workload(rendered("helm4", path, "placement.engine=trainjob")))
    rest = node(runtime.runtime()["spec"]["template"]["spec"])
    for name in whole.keys() - OF_THE_RUN["job"] - {"template", "backoffLimit"}:
        assert rest[name] == whole[name], name
    assert rest["backoffLimit"] >= whole["backoffLimit"]
    for name in whole["template"]["spec"].keys() - OF_JOBSET - patch["template"]["spec"].keys():
        assert rest["template"]["spec"][name] == whole["template"]["spec"][name], name
    for name in container(whole).keys() - OF_THE_RUN["trainer"] - container(patch).keys() - {"env"}:
        assert container(rest)[name] == container(whole)[name], name


@pytest.mark.parametrize(
    ("sets", "sentence"),
    [
        (("chart.imagePullPolicy=Always",), "chart.imagePullPolicy is Always, but a TrainJob cannot set it"),
        (("chart.serviceAccount.automountToken=true",), "its runtime mounts no token"),
        (
            ("placement.priority=high",),
            "placement.priority is high, but a TrainJob cannot set the priority of its pods",
        ),
        (("chart.extraEnv[0].name=A", "chart.extraEnv[0].valueFrom.fileKeyRef.key=a"), "has a valueFrom.fileKeyRef"),
        (
            ("chart.extraVolumeMounts[0].name=tmp", "chart.extraVolumeMounts[0].mountPath=/var/tmp"),
            "mounts tmp a second time",
        ),
        (
            tuple(
                f"chart.{field}"
                for field in (
                    "extraVolumes[0].name=a",
                    "extraVolumes[0].emptyDir.medium=Memory",
                    "extraVolumeMounts[0].name=a",
                    "extraVolumeMounts[0].mountPath=/a",
                    "extraVolumeMounts[1].name=a",
                    "extraVolumeMounts[1].mountPath=/b",
                )
            ),
            "mounts a a second time",
        ),
    ],
    ids=["pull-policy", "token", "priority", "environment", "own-volume", "volume-twice"],
)
def test_what_neither_can_say_is_refused_with_another_engine_to_choose(sets: tuple[str, ...], sentence: str) -> None:
    path = CHART / "ci" / "job-values.yaml"
    rendered("helm4", path, *sets)  # it is no contradiction of itself
    with pytest.raises(HelmError) as refused:
        rendered("helm4", path, "placement.engine=trainjob", *sets)
    assert sentence in str(refused.value)
    assert "choose another placement.engine, such as jobset" in str(refused.value)


def test_a_queue_takes_the_priority() -> None:
    found = workload(
        rendered("helm4", CHART / "ci" / "trainjob-values.yaml", "placement.queue=q", "placement.priority=p")
    )
    labels = found["metadata"]["labels"]
    assert (labels["kueue.x-k8s.io/queue-name"], labels["kueue.x-k8s.io/priority-class"]) == ("q", "p")
