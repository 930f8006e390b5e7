"""Rendering, with each of three real Helms."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from jobs.jobfile import model as jobfile
from jobs.jobfile import text as jobtext
from jobs.rendering import manifests
from jobs.rendering.render import render
from tests.chart.helm import rendered
from tests.chart.test_render import CASES, FILES
from trainer.errors import SpecError

JOB = next(path for path in CASES if path.stem == "job-values")


NAMES = [path.stem for path in FILES]


def as_helm_has_it(path: Path) -> list[dict[str, Any]]:
    """Give the objects that a user of Helm alone gets, by kind and name."""
    found = [each for each in yaml.safe_load_all(rendered("helm4", path)) if each]
    kept = [each for each in found if "helm.sh/hook" not in each["metadata"].get("annotations", {})]
    return sorted(kept, key=manifests.name_of)


@pytest.mark.parametrize("path", FILES, ids=NAMES)
def test_a_job_file_gives_what_helm_alone_makes_of_it(path: Path, which: str) -> None:
    found = render(jobtext.read(path)).objects
    assert sorted(found, key=manifests.name_of) == as_helm_has_it(path)
    assert render(jobfile.as_dict(jobfile.load(path)), checked=True).objects == found


def test_the_workload_comes_last_and_no_hook_is_among_them(which: str) -> None:
    found = render(jobtext.read(JOB))
    kinds = ["NetworkPolicy", "PodMonitor", "Service", "ServiceAccount", "Job"]
    assert [each["kind"] for each in found.objects] == kinds
    assert found.workload == found.objects[-1]
    assert found.workload["metadata"]["name"].startswith(f"{found.run_id}-")


def test_a_namespace_is_written_into_each_object_and_changes_nothing_else() -> None:
    job = jobtext.read(JOB)
    for plain, placed in zip(render(job).objects, render(job, namespace="team-ocr").objects, strict=True):
        assert placed["metadata"].pop("namespace") == "team-ocr"
        assert placed == plain


def test_the_chart_refuses_with_its_sentence_alone(which: str) -> None:
    job = jobtext.read(JOB, sets=["placement.engine=auto"])
    with pytest.raises(SpecError) as refused:
        render(job)
    assert str(refused.value) == (
        "placement.engine is auto: only `ocrfleet submit` can ask the cluster. "
        "Set one of job, jobset, trainjob, volcano, paddlejob."
    )


def test_parts_that_the_api_server_would_refuse_are_refused_before_it_sees_them(which: str, tmp_path: Path) -> None:
    """Helm writes them as they are. A value is shown as it stands in the file."""
    path = tmp_path / "job.yaml"
    tolerations = "[{key: spot, value: yes}, {key: a, effect: noSchedule}]"
    path.write_text(JOB.read_text("utf-8").replace("  nodes: 2\n", f"  tolerations: {tolerations}\n"), "utf-8")
    with pytest.raises(SpecError) as refused:
        render(jobtext.read(path))
    assert str(refused.value).splitlines() == [
        'placement.tolerations.0.value is yes, which YAML does not read as a string: put it in quotes, "yes".',
        "placement.tolerations.1.effect is 'noSchedule'. Use one of: NoSchedule, PreferNoSchedule, NoExecute.",
    ]
