"""`submit` and `engine: auto`: what they make, what they leave alone, and what they say."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from jobs.runs.submit import moving_images
from tests.unit.jobs.apiserver import ApiServer
from tests.unit.jobs.submitted import job

__all__ = ["job"]

Ocrfleet = Callable[..., Any]


@pytest.mark.parametrize("how", ["client", "server"])
def test_a_dry_run_makes_nothing_and_prints_the_run(api: ApiServer, ocrfleet: Ocrfleet, job: Path, how: str) -> None:
    ran = ocrfleet("submit", job, f"--dry-run={how}")
    assert ran.code == 0
    assert ran.out.startswith("slips-rec-")
    assert api.objects == {}
    assert bool(api.asked) == (how == "server")


@pytest.mark.parametrize(
    "words", [["render"], ["check"], ["diff"], ["submit"], ["submit", "--dry-run=client"]], ids=" ".join
)
@pytest.mark.parametrize("engine", ["job", "auto"])
def test_what_renders_pods_wants_an_image(
    api: ApiServer, ocrfleet: Ocrfleet, job: Path, words: list[str], engine: str
) -> None:
    ran = ocrfleet(*words, job, "--set", "placement.image=", "--set", f"placement.engine={engine}")
    assert ran.code == 40
    assert "error  placement.image is missing: set it to" in (ran.out + ran.err).replace("error: ", "error  ")
    assert "docs/tasks/run/build-the-image.md describes how to build and push it.\n" in ran.out + ran.err
    assert api.objects == {}


@pytest.mark.parametrize("words", [("-n", "team-ocr"), ("--namespace", "team-ocr"), ("--context", "elsewhere")])
def test_where_it_goes(api: ApiServer, ocrfleet: Ocrfleet, job: Path, words: tuple[str, ...]) -> None:
    assert ocrfleet("submit", job, *words).code == 0
    assert {each["metadata"]["namespace"] for each in api.objects.values()} == {"team-ocr"}


@pytest.mark.parametrize(
    ("image", "warned"),
    [("r.io/t:latest", True), ("r.io:5000/t", True), ("t:main", True), ("r.io/t:1.2.0", False), ("t:v1.2-gpu", False)],
)
def test_an_image_that_may_move_is_warned_of(
    api: ApiServer, ocrfleet: Ocrfleet, job: Path, image: str, warned: bool
) -> None:
    pinned = f"{image}@sha256:{'0' * 64}"
    images = {"containers": [{"image": image}, {"image": pinned}]}
    assert moving_images({"spec": images}) == ([image] if warned else [])
    said = ocrfleet("submit", job, "--set", f"placement.image={image}").err
    assert (f"warning: the tag of the image {image}" in said) == warned
