"""The rehearsal with real paddle: what it says of a run that works, and how it ends one that would fail later."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from examples.demo import pages
from tests.e2e.commands import job_file, ocrfleet
from tests.e2e.test_training import a_run
from trainer import recipes
from trainer.contract import ExitCode
from trainer.errors import DatasetError, SpecError, StoppedError
from trainer.ppocr.job import Job
from trainer.recipes import distill
from trainer.run.spec import RunSpec, from_dict
from trainer.run.workdir import WorkDir
from trainer.telemetry.events import Events

# Importing paddle itself warns, of a compiler cache that nobody needs here.
pytestmark = [pytest.mark.paddle, pytest.mark.filterwarnings("ignore"), pytest.mark.timeout(240)]

TPS = "run.overrides.Architecture\\.Transform={name: TPS, num_fiducial: 20, loc_lr: 0.1, model_name: small}"


@pytest.fixture(scope="module")
def labelled(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("pages")
    pages.write_export(folder, pages=9, seed=1)
    return folder.as_uri()


def test_a_checked_job_is_rehearsed_without_a_trace(tmp_path: Path, labelled: str) -> None:
    job = job_file(tmp_path, data=labelled)
    ended = ocrfleet("check", str(job), "--rehearse")
    assert ended.returncode == ExitCode.DONE, ended.stdout + ended.stderr
    assert re.search(r"^ok +rehearsal: Training takes .+ to .+; a checkpoint [\d.]+ MB\.$", ended.stdout, re.MULTILINE)
    assert re.search(r"^ok +rehearsal: trains, evaluates, exports, and paddleocr 3\.", ended.stdout, re.MULTILINE)
    assert "Traceback" not in ended.stderr
    left = {path.name for path in (tmp_path / "bucket").rglob("*") if path.is_file()}
    assert left <= {".ocrfleet-lock"}, "of the check for conditional writes"


def test_what_cannot_be_exported_ends_a_run_before_it_trains(tmp_path: Path, labelled: str) -> None:
    job = job_file(tmp_path, data=labelled, sets=["placement.rehearse=true", TPS])
    ended = ocrfleet("run", str(job), "--workdir", str(tmp_path / "runs"))
    assert ended.returncode == ExitCode.SPEC, ended.stderr
    said = "error: The rehearsal failed in the export (Architecture CRNN: TPS, MobileNetV3, SequenceEncoder, CTCHead): "
    assert f"{said}TypeError: Unsupported paddle.assign" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert "[train begun]" not in ended.stderr


@pytest.fixture(scope="module", params=["rec", "det"])
def work(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> WorkDir:
    return a_run(tmp_path_factory.mktemp(request.param), request.param)


@pytest.fixture(scope="module")
def lines(tmp_path_factory: pytest.TempPathFactory) -> WorkDir:
    return a_run(tmp_path_factory.mktemp("lines"), "rec")


def rehearse(work: WorkDir, **sections: dict[str, Any]) -> dict[str, Any]:
    """Rehearse in this process, with other values in parts of the configuration."""
    from trainer.ppocr import rehearsal, tree

    tree.on_path()
    job = job_of(work)
    for name, values in sections.items():
        job.config[name] |= values
    return rehearsal.rehearse(job)


def job_of(work: WorkDir) -> Job:
    return Job.read(work.root, device="cpu", rank=0, world=1, events=Events(0, None))


def test_a_rehearsal_measures_what_a_run_needs(work: WorkDir) -> None:
    found = rehearse(work)
    config = yaml.safe_load(work.configuration.read_text("utf-8"))
    assert found["batch"] == config["Train"]["loader"]["batch_size_per_card"] == 4
    assert found["measured"] == {"rec": 4, "det": 2}[config["Architecture"]["model_type"]]
    assert found["run_seconds"] > found["step_seconds"] > 0
    assert found["host_memory_bytes"] > 1 << 27
    # Twice the weights, and Adam's two moments of each.
    weights = (work.rehearsed_weights("")).stat().st_size
    assert 3.5 < found["checkpoint_bytes"] / weights < 4.5
    assert {path.name for path in work.rehearsed_export("").iterdir()} >= {"inference.json", "inference.pdiparams"}
    assert list(json.loads(work.rehearsed.read_text("utf-8"))["networks"]) == [""]


def test_an_operator_that_fails_with_every_sample_is_named(lines: WorkDir) -> None:
    train = job_of(lines).config["Train"]
    crop = {"EastRandomCropData": {"size": [32, 32], "max_tries": 1, "keep_ratio": True}}
    train["dataset"]["transforms"].insert(1, crop)
    with pytest.raises(SpecError, match=r"in the operator EastRandomCropData \(Train.dataset.transforms\): KeyError"):
        rehearse(lines, Train=train)


def test_a_loss_that_is_no_number_is_found(lines: WorkDir) -> None:
    schedule = {"name": "Const", "learning_rate": 1e30}
    with pytest.raises(SpecError, match=r"The loss of Loss.name CTCLoss is not a finite number in the first 2 steps"):
        rehearse(lines, Optimizer={"lr": schedule})


def test_labels_from_which_nothing_can_be_learned_are_the_datasets_fault(tmp_path: Path) -> None:
    pages_ = a_run(tmp_path, "det")
    listed = pages_.prepared / "train.jsonl"
    rows = [json.loads(line) for line in listed.read_text("utf-8").splitlines()]
    listed.write_text("".join(json.dumps({**row, "label": "[]"}) + "\n" for row in rows), "utf-8")
    with pytest.raises(DatasetError, match=r"No sample that was tried can be used\. One of them is .*Label.txt"):
        rehearse(pages_)


def test_a_network_that_gives_no_characters_is_refused(lines: WorkDir) -> None:
    architecture = job_of(lines).config["Architecture"]
    head = {"name": "CTCHead", "return_feats": False, "mid_channels": 8, "fc_decay": 0.0}
    architecture = {**architecture, "Neck": {"name": "SequenceEncoder", "encoder_type": "none"}, "Head": head}
    with pytest.raises(SpecError, match=r"The rehearsal failed in building the network \(Architecture CRNN: "):
        rehearse(lines, Architecture=architecture)


def test_a_stop_ends_the_rehearsal(lines: WorkDir) -> None:
    from trainer.ppocr import rehearsal

    job = job_of(lines)
    job._signals.append(15)
    with pytest.raises(StoppedError, match="which the next start repeats"):
        rehearsal.rehearse(job)


@pytest.mark.parametrize(
    ("recipe", "wanted", "names"),
    [
        ("det-pp-ocrv3-dml", None, ["Student"]),
        ("det-pp-ocrv3-dml", "Student2", ["Student2"]),
        ("det-pp-ocrv3-cml", None, ["Student"]),
        ("rec-crnn-mobile", None, [""]),
    ],
)
def test_of_networks_that_are_alike_one_is_exported(recipe: str, wanted: str | None, names: list[str]) -> None:
    from trainer.ppocr.rehearsal import published

    raw = {"task": recipe[:3], "recipe": recipe, "data": {"train": "s3://d/"}, "output": "s3://m/"}
    if recipe.endswith("cml"):
        raw["distill"] = {"randomTeacher": True}
    config = recipes.resolve(from_dict(RunSpec, raw, where="run")).config
    found = published(config, wanted)
    assert list(found) == names
    assert not any(distill.is_distillation(alone) for alone in found.values())


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ValueError("One line.\nAnother."), "ValueError: One line."),
        (KeyError(), "KeyError: no reason given."),
        (TypeError("In transformed code:\n\n  at x\n\n TypeError: Not that."), "TypeError: Not that."),
        (
            RuntimeError("C++ Traceback\n---\nError Message Summary:\n----------\nInvalid: a shape.\n [Hint: x]"),
            "RuntimeError: Invalid: a shape.",
        ),
        (ValueError("x" * 999), f"ValueError: {'x' * 300}."),
    ],
)
def test_of_an_error_its_own_sentence_is_shown(error: Exception, said: str) -> None:
    from trainer.ppocr.rehearsal import in_short

    assert in_short(error) == said
