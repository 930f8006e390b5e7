"""What is told of a distillation: read from what the stages left, kept in the manifest, compared with a baseline."""

import json
from pathlib import Path

import pytest

from tests.unit.trainer.registry.published import manifest
from trainer.registry import distillation
from trainer.registry.distillation import Distillation, Gain, Network
from trainer.registry.manifests import Manifest
from trainer.run.workdir import WorkDir

NETWORKS = {
    "Teacher": {
        "parameters": 1000,
        "frozen": True,
        "metrics": {"acc": 0.95, "norm_edit_dis": 0.99},
        "seconds_per_image": 0.02,
    },
    "Student": {"parameters": 100, "frozen": False, "metrics": {"acc": 0.9, "norm_edit_dis": 0.98}},
}
TOLD = {"networks": NETWORKS, "picked": "Student", "why": "It is the only one that learns.", "fine_tuned_epochs": 2}
TRAINED = Distillation(
    picked="Student",
    why="It is the only one that learns.",
    fine_tuned_epochs=2,
    networks=(
        Network(
            name="Teacher",
            frozen=True,
            parameters=1000,
            metrics={"acc": 0.95, "norm_edit_dis": 0.99},
            seconds_per_image=0.02,
        ),
        Network(name="Student", frozen=False, parameters=100, metrics={"acc": 0.9, "norm_edit_dis": 0.98}),
    ),
)


@pytest.fixture
def work(tmp_path: Path) -> WorkDir:
    work = WorkDir(tmp_path / "work")
    for folder in (work.trained, work.evaluation):
        folder.mkdir(parents=True)
    work.training_facts.write_text(json.dumps({"distillation": TOLD}), "utf-8")
    return work


def test_what_training_left_is_read(work: WorkDir) -> None:
    assert distillation.read(work) == TRAINED
    assert [network.bytes for network in TRAINED.networks] == [4000, 400]


def test_what_is_published_is_measured_without_what_only_training_needs(work: WorkDir) -> None:
    work.inference.mkdir()
    (work.inference / "inference.pdiparams").write_bytes(b"x" * 300)
    found = distillation.read(work)
    assert found
    assert found.exported_bytes == 300


def test_a_network_that_was_trained_by_itself_is_no_distillation(work: WorkDir) -> None:
    work.training_facts.write_text("{}", "utf-8")
    assert distillation.read(work) is None


@pytest.mark.parametrize("made", [None, Gain(baseline="lines-1", said="x", run="lines-1", gain={"acc": 0.1})])
def test_a_manifest_keeps_all_of_it(made: Gain | None) -> None:
    original = manifest(distillation=TRAINED.with_gain(made))
    assert Manifest.from_json(original.to_json(), run=original.run, source="here") == original


def test_a_manifest_of_one_network_is_as_manifests_always_were() -> None:
    """An older ocrfleet reads it, and this one reads the older's."""
    plain = manifest()
    assert b"distillation" not in plain.to_json()
    assert Manifest.from_json(plain.to_json(), run=plain.run, source="here") == plain
