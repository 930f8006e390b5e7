"""The record keeps what was learnt and left out, without what is only for looking at."""

import importlib.metadata
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from trainer import contract
from trainer.formats.yaml import to_yaml
from trainer.run import spec as runspec
from trainer.run.assignment import Assignment
from trainer.run.spec import RunSpec
from trainer.run.topology import Topology
from trainer.run.workdir import WorkDir
from trainer.stages import record

RUN = {"task": "rec", "recipe": "rec-crnn-mobile", "data": {"train": "s3://data/"}, "output": "s3://models/"}


def record_of(
    root: Path, *, training: dict[str, Any], evaluation: dict[str, Any], machine: dict[str, Any] | None = None
) -> dict[str, Any]:
    work = WorkDir(root)
    dataset = {"task": "rec", "digest": "d", "counts": {}, "max_text_length": 5, "refused": []}
    for path, facts in (
        (work.prepared / "dataset.json", dataset),
        (work.training_facts, training),
        (work.evaluation_facts, evaluation),
        (work.verification_facts, {}),
    ):
        path.parent.mkdir()
        path.write_text(json.dumps(facts), "utf-8")
    run = runspec.from_dict(RunSpec, RUN, where="run")
    work.run_file.write_text(to_yaml({"apiVersion": contract.API_VERSION, "name": "lines", "run": RUN}), "utf-8")
    work.configuration.write_text("Global: {}\n", "utf-8")
    given = Assignment(name="lines", run=run, run_id="lines-00000001", work=work, topology=Topology())
    made: dict[str, Any] = json.loads(json.dumps(record.make_record(given, attempt=1, machine=machine)))
    return made


def metrics_of(root: Path, *, training: dict[str, Any], evaluation: dict[str, Any]) -> dict[str, Any]:
    metrics: dict[str, Any] = record_of(root, training=training, evaluation=evaluation)["metrics"]
    return metrics


def test_what_the_node_had_and_the_number_format_as_used_are_kept(tmp_path: Path) -> None:
    """`auto` in the job file says neither which format was used, nor why."""
    has = {"driver": {"version": "550.54.14", "devices": [{"name": "A100"}]}, "paddle": {"cudnn": "9.5.1"}}
    made = record_of(tmp_path, training={"precision": "bf16"}, evaluation={}, machine=has)
    assert (made["machine"], made["precision"]) == (has, "bf16")


def test_samples_left_out_are_counted_with_their_first_places(tmp_path: Path) -> None:
    batch = {"epoch": 3, "step": 12, "reason": "the loss is nan", "samples": [f"a.txt:{n}" for n in range(64)]}
    refused = {f"b.txt:{n}": "the image cannot be decoded" for n in range(5)}
    training = {"steps": 7, "history": {}, "skipped_batches": [batch], "refused": refused}
    assert metrics_of(tmp_path, training=training, evaluation={})["training"] == {
        "steps": 7,
        "skipped_batches": [{**batch, "samples": 64, "places": ["a.txt:0", "a.txt:1", "a.txt:2"]}],
        "refused": [
            {"reason": "the image cannot be decoded", "count": 5, "places": ["b.txt:0", "b.txt:1", "b.txt:2"]},
        ],
    }


def test_lengths_and_confusions_are_kept_and_the_worst_samples_are_not(tmp_path: Path) -> None:
    analysis = {"by_length": [{"from": 1, "to": 5}], "confusions": [], "worst": [{"label": "a name"}]}
    found = metrics_of(tmp_path, training={}, evaluation={"metrics": {"acc": 1.0}, "analysis": analysis})
    assert found["evaluation"] == {
        "metrics": {"acc": 1.0},
        "analysis": {"by_length": [{"from": 1, "to": 5}], "confusions": []},
    }


def test_the_code_has_a_version_and_in_a_checkout_its_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of the checkout that the environment lies in, which may be another project's."""
    module = tmp_path / "code" / "trainer" / "stages" / "record.py"
    monkeypatch.setattr(record, "__file__", str(module))
    version = importlib.metadata.version("ocrfleet")

    def git(*words: str, folder: Path = module.parents[2]) -> str:
        person = ("-c", "user.name=a", "-c", "user.email=a@b.test")
        command = ["git", "-C", str(folder), *person, *words]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    module.parent.mkdir(parents=True)
    module.write_text("", "utf-8")
    git("init", "--quiet", folder=tmp_path)
    assert record.code_version() == version
    git("init", "--quiet")
    git("add", ".")
    git("commit", "--quiet", "--message", "a")
    commit = git("rev-parse", "HEAD")
    assert record.code_version() == f"{version}+{commit}"
    module.write_text("# changed", "utf-8")
    assert record.code_version() == f"{version}+{commit}-dirty"
    (module.parents[2] / ".git" / "HEAD").unlink()
    assert record.code_version() == version
