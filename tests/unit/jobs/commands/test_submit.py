"""`submit` and `engine: auto`: what they make, what they leave alone, and what they say."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from jobs.runs.engine_auto import Offer, choose
from jobs.runs.submit import moves
from tests.unit.jobs.apiserver import Answer, ApiServer
from trainer.errors import SpecError

Ocrfleet = Callable[..., Any]

JOB: dict[str, Any] = {
    "apiVersion": "ocrfleet.io/v1",
    "name": "slips-rec",
    "run": {
        "task": "rec",
        "recipe": "rec-crnn-mobile",
        "data": {"train": "s3://data/slips/"},
        "output": "s3://models/slips-rec/",
    },
    "placement": {"device": "cpu"},
}


@pytest.fixture
def job(tmp_path: Path, api: ApiServer) -> Path:
    """A job file, and a server that has the kinds of its objects."""
    api.kinds["v1"].append("ServiceAccount")
    api.kinds["networking.k8s.io/v1"] = ["NetworkPolicy"]
    path = tmp_path / "job.yaml"
    path.write_text(yaml.safe_dump(JOB), "utf-8")
    return path


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


@pytest.mark.parametrize("how", ["client", "server"])
def test_a_dry_run_makes_nothing_and_prints_the_run(api: ApiServer, ocrfleet: Ocrfleet, job: Path, how: str) -> None:
    ran = ocrfleet("submit", job, f"--dry-run={how}")
    assert ran.code == 0
    assert ran.out.startswith("slips-rec-")
    assert api.objects == {}
    assert bool(api.asked) == (how == "server")


@pytest.mark.parametrize("words", [("-n", "team-ocr"), ("--namespace", "team-ocr"), ("--context", "elsewhere")])
def test_where_it_goes(api: ApiServer, ocrfleet: Ocrfleet, job: Path, words: tuple[str, ...]) -> None:
    assert ocrfleet("submit", job, *words).code == 0
    assert {each["metadata"]["namespace"] for each in api.objects.values()} == {"team-ocr"}


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


@pytest.mark.parametrize(
    ("image", "warned"),
    [("r.io/t:latest", True), ("r.io:5000/t", True), ("t:main", True), ("r.io/t:1.2.0", False), ("t:v1.2-gpu", False)],
)
def test_an_image_that_may_move_is_warned_of(
    api: ApiServer, ocrfleet: Ocrfleet, job: Path, image: str, warned: bool
) -> None:
    assert moves(image) == warned
    said = ocrfleet("submit", job, "--set", f"placement.image={image}").err
    assert (f"warning: the tag of the image {image}" in said) == warned
    assert not moves(f"{image}@sha256:{'0' * 64}")


# -- engine: auto ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("offer", "nodes", "queue", "engine"),
    [
        (Offer(queued={"job": False}), 1, None, "job"),
        (Offer(queued={"job": False}), 2, None, "job"),
        (Offer(queued={"job": False, "jobset": False}), 1, None, "job"),
        (Offer(queued={"job": False, "jobset": False}), 2, None, "jobset"),
        (Offer(queued={"job": True, "jobset": True}), 2, "q", "jobset"),
        (Offer(queued={"job": True, "jobset": False}), 2, "q", "job"),
        (Offer(queued={"job": False, "jobset": True}), 1, "q", "jobset"),
        (Offer(queued={"job": False, "jobset": False}, volcano=True), 2, "q", "volcano"),
        (Offer(queued={"job": True}, volcano=True), 2, "q", "job"),
        (Offer(queued={"job": False}, volcano=True), 2, None, "job"),
        (Offer(holder="trainjob", queued={}), 2, "q", "trainjob"),
    ],
)
def test_which_engine_is_chosen(offer: Offer, nodes: int, queue: str | None, engine: str) -> None:
    chosen, why = choose(offer, nodes=nodes, queue=queue)
    assert chosen == engine
    assert why


def test_a_queue_that_nobody_serves_is_refused() -> None:
    with pytest.raises(SpecError, match="nothing manages queues"):
        choose(Offer(queued={"job": False}), nodes=1, queue="q")


def test_auto_takes_the_jobset_that_is_there_and_stays_with_it(api: ApiServer, ocrfleet: Ocrfleet, job: Path) -> None:
    words = ("submit", job, "--set", "placement.engine=auto", "--set", "placement.nodes=2")
    api.kinds["jobset.x-k8s.io/v1alpha2"] = ["JobSet"]
    first = ocrfleet(*words)
    assert "placement.engine is auto: jobset, because JobSet is installed" in first.err
    again = ocrfleet(*words)
    assert "Nothing changed." in again.err
    assert first.out == again.out


def test_a_run_that_is_a_job_stays_one_when_jobset_comes(api: ApiServer, ocrfleet: Ocrfleet, job: Path) -> None:
    words = ("submit", job, "--set", "placement.engine=auto", "--set", "placement.nodes=2")
    assert "placement.engine is auto: job," in ocrfleet(*words).err
    api.kinds["jobset.x-k8s.io/v1alpha2"] = ["JobSet"]
    again = ocrfleet(*words)
    assert "already has an object" in again.err
    assert "Nothing changed." in again.err
