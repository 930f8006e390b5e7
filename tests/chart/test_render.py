"""What the chart makes of a job file, in every Helm. `python -m tests.chart.test_render` writes the golden files."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from docs.chart import CHART
from jobs.jobfile import model as jobfile
from tests.chart.helm import HELMS, HelmError, helm, rendered
from trainer.run.identity import run_id

ROOT = Path(__file__).parents[2]
GOLDEN = Path(__file__).with_name("golden")
CASES = sorted(CHART.glob("ci/*-values.yaml"))
FILES = [*CASES, *sorted(ROOT.glob("examples/*/*.yaml"))]
ENGINES = {"Job", "JobSet", "TrainJob", "PaddleJob"}


def objects(text: str) -> list[dict[str, Any]]:
    return [each for each in yaml.safe_load_all(text) if each]


def by_name(text: str) -> dict[tuple[str, str], dict[str, Any]]:
    found = objects(text)
    named = {(each["kind"], each["metadata"]["name"]): each for each in found}
    assert len(named) == len(found)
    return named


def workload(text: str) -> dict[str, Any]:
    (found,) = (each for each in objects(text) if each["kind"] in ENGINES)
    return found


@pytest.mark.parametrize("which", HELMS)
@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_an_example_gives_the_objects_that_were_looked_at(path: Path, which: str) -> None:
    golden = (GOLDEN / path.name.replace("-values", "")).read_text("utf-8")
    assert by_name(rendered(which, path)) == by_name(golden)


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_every_helm_makes_the_same_objects_and_twice_the_same_text(path: Path) -> None:
    first, *others = (by_name(rendered(which, path)) for which in HELMS)
    assert others == [first] * 2
    for which in HELMS:
        assert rendered(which, path) == rendered(which, path)


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_chart_and_command_line_name_a_run_alike(path: Path) -> None:
    job = jobfile.load(path)
    devices = job.placement.nodes * job.placement.devices_per_node
    named = run_id(
        job.name,
        run=job.run,
        image=job.placement.image or "",
        device=job.placement.device or "gpu",
        devices=devices,
    )
    found = {which: workload(rendered(which, path)) for which in HELMS}
    assert {each["metadata"]["labels"]["ocrfleet.io/run"] for each in found.values()} == {named}
    assert all(each["metadata"]["name"].startswith(f"{named}-") for each in found.values())


def test_the_release_has_no_part_in_an_object(tmp_path: Path) -> None:
    """Helm, Argo CD, Flux and the command line name releases as they like, and must mean the same objects."""
    other = helm("helm4", "template", "other", CHART, "--namespace", "elsewhere", "--values", CASES[0])
    assert by_name(other) == by_name(rendered("helm4", CASES[0]))


def test_another_placement_or_retry_is_another_object_of_the_same_run() -> None:
    first = workload(rendered("helm4", CASES[0]))
    for change in ("placement.retry=1", "placement.resources.limits.memory=80Gi", "placement.deadlines.stall=20m"):
        other = workload(rendered("helm4", CASES[0], change))
        assert other["metadata"]["name"] != first["metadata"]["name"], change
        assert other["metadata"]["labels"]["ocrfleet.io/run"] == first["metadata"]["labels"]["ocrfleet.io/run"], change


def test_another_run_is_another_run() -> None:
    first = workload(rendered("helm4", CASES[0]))["metadata"]["labels"]["ocrfleet.io/run"]
    for change in ("run.train.seed=1", "placement.nodes=4", "placement.image=other:1", "placement.device=cpu"):
        assert workload(rendered("helm4", CASES[0], change))["metadata"]["labels"]["ocrfleet.io/run"] != first, change


@pytest.mark.parametrize(
    ("sets", "sentence"),
    [
        (("placement.engine=auto",), "only `ocrfleet submit` can ask the cluster"),
        (("placement.serviceAccount=ours",), "the secret would hide the account's identity; choose one"),
        (("chart.identity.preset=gke",), "the secret would hide the identity; choose one"),
        (("run.config.Global.epoch_num=1",), "run needs one of `recipe` and `config`, and not both"),
        (("placement.storage.cache.emptyDir=1Gi",), "placement.storage.cache has emptyDir and ephemeral: choose one"),
    ],
)
def test_a_contradiction_ends_the_render_with_a_sentence(sets: tuple[str, ...], sentence: str) -> None:
    with pytest.raises(HelmError) as refused:
        rendered("helm4", CASES[0], *sets)
    assert sentence in str(refused.value)


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_the_chart_passes_helms_own_check(path: Path) -> None:
    assert "0 chart(s) failed" in helm("helm4", "lint", "--strict", CHART, "--values", path)


if __name__ == "__main__":
    for case in CASES:
        (GOLDEN / case.name.replace("-values", "")).write_text(rendered("helm4", case), "utf-8")


@pytest.mark.parametrize("which", HELMS)
def test_none_leaves_user_and_groups_to_the_cluster(tmp_path: Path, which: str) -> None:
    """A pod that names a user is refused by OpenShift's `restricted-v2`."""
    content = yaml.safe_load((CHART / "ci" / "job-values.yaml").read_text("utf-8"))

    def context(**fields: object) -> dict[str, Any]:
        (tmp_path / "job.yaml").write_text(yaml.safe_dump({**content, "chart": {"securityContext": fields}}), "utf-8")
        pod = workload(rendered(which, tmp_path / "job.yaml"))["spec"]["template"]["spec"]
        return {name: value for name, value in pod["securityContext"].items() if name.startswith(("runAs", "fsGroup"))}

    fixed = {"runAsNonRoot": True, "fsGroupChangePolicy": "OnRootMismatch"}
    assert context() == {**fixed, "runAsUser": 65532, "runAsGroup": 65532, "fsGroup": 65532}
    assert context(runAsUser="none", runAsGroup="none", fsGroup="none") == fixed
    numbers = {"runAsUser": 1000730000, "runAsGroup": 0}
    assert context(**numbers) == {**fixed, **numbers, "fsGroup": 65532}
