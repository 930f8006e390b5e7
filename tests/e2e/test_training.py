"""The training loop on real paddle workers: equal ranks, an orderly stop, a true resume."""

import json
from pathlib import Path

import pytest
import yaml

from examples.demo import pages
from jobs.local import free_ports
from tests.e2e.commands import RECIPES, SMALL
from trainer import checkpoints, recipes, runspec
from trainer.checkpoints import file_digest
from trainer.datasets import Prepared
from trainer.errors import DatasetError, DivergedError, StoppedError
from trainer.runspec import RunSpec
from trainer.stages.prepare import prepare
from trainer.supervisor import Deadlines, Supervisor
from trainer.topology import Topology
from trainer.workdir import WorkDir

pytestmark = [pytest.mark.paddle, pytest.mark.timeout(240)]


def a_run(folder: Path, task: str, *, overrides=None, world=2, init=None, **train) -> WorkDir:
    """Prepare a run of a few steps on six generated pages."""
    work = WorkDir(folder)
    source = work.train_data / "pages"
    if not source.exists():
        pages.write_export(source, pages=6, seed=1)
    run = runspec.from_dict(
        RunSpec,
        {
            "task": task,
            "recipe": RECIPES[task],
            "overrides": {**SMALL[task], **(overrides or {})},
            "data": {"train": "file:///unused", "split": "4:1:1"},
            "train": {"epochs": 3, "batchSizePerDevice": 4, **train},
            "init": init or {},
            "output": "file:///unused",
        },
        where="run",
    )
    work.run_file.write_text(yaml.safe_dump({"name": "test", "run": runspec.to_dict(run)}))
    prepare(run, work, lambda done, total: None)
    recipe = recipes.resolve(run, Prepared.load(work.prepared), world_size=world)
    work.configuration.write_text(yaml.safe_dump(recipe.config))
    work.trained.mkdir(exist_ok=True)
    return work


def train(work: WorkDir, *, world=2, port: int, stop_at: int | None = None) -> dict:
    """Train on `world` workers, asking them to stop after a step if wanted; give training.json."""

    def hear(event):
        if event["event"] == "step" and event["step"] == stop_at:
            supervisor.stop()

    supervisor = Supervisor(
        Topology(devices_per_node=world, port=port), deadlines=Deadlines(rendezvous=60, stall=60), on_event=hear
    )
    supervisor.run("train", workdir=work.root, log=lambda rank: work.worker_log(attempt=1, stage="train", rank=rank))
    return json.loads(work.training_facts.read_text())


@pytest.mark.parametrize(("task", "world"), [("rec", 2), ("det", 2)])
def test_a_stopped_run_goes_on_to_the_end_it_would_have_had(tmp_path, task, world):
    """Stopped in the middle of an epoch and resumed in new processes: the same parameters, losses and metrics.

    That two ranks end with equal parameters at all is checked by the loop itself.
    """
    whole = train(a_run(tmp_path / "whole", task, world=world), world=world, port=free_ports(3))
    work = a_run(tmp_path / "stopped", task, world=world)
    with pytest.raises(StoppedError, match=r"Stopped after step \d+; the state is saved"):
        train(work, world=world, port=free_ports(3), stop_at=2)
    saved = checkpoints.verified(checkpoints.local(work.checkpoints)[-1])
    assert 2 <= saved["step"] < whole["steps"]
    resumed = train(work, world=world, port=free_ports(3))
    assert whole["parameters_sha256"] == resumed["parameters_sha256"]
    assert whole["history"] == resumed["history"]
    assert whole["best"] == resumed["best"]


def test_training_starts_from_the_given_weights(tmp_path):
    """At a learning rate of 0 it ends with them, too."""
    first = a_run(tmp_path / "first", "rec", world=1, epochs=1)
    trained = train(first, world=1, port=free_ports(2))
    init = {"pretrained": first.best_weights.as_uri(), "sha256": file_digest(first.best_weights)}
    still = {"Optimizer.lr": {"name": "Const", "learning_rate": 0.0}}
    second = a_run(tmp_path / "second", "rec", world=1, epochs=1, overrides=still, init=init)
    second.pretrained.write_bytes(first.best_weights.read_bytes())
    assert train(second, world=1, port=free_ports(2))["parameters_sha256"] == trained["parameters_sha256"]


def test_a_loss_that_is_no_number_ends_the_run(tmp_path):
    work = a_run(tmp_path, "rec", overrides={"Optimizer.lr.learning_rate": 1.0e30}, world=1)
    with pytest.raises(DivergedError, match=r"The loss is (nan|inf) at step \d+ \(epoch 1\)\. Lower Optimizer"):
        train(work, world=1, port=free_ports(3))
    assert not checkpoints.local(work.checkpoints)


def test_an_epoch_without_a_batch_is_the_datasets_fault(tmp_path):
    """PaddleOCR's own loop logs this and returns 0."""
    work = a_run(tmp_path, "rec", world=1, batchSizePerDevice=4096)
    with pytest.raises(DatasetError, match=r"An epoch has no batch: \d+ training samples, 4096 a device"):
        train(work, world=1, port=free_ports(3))


def test_reader_processes_make_the_same_batches(tmp_path):
    here = train(a_run(tmp_path / "here", "det", world=1, epochs=1), world=1, port=free_ports(3))
    there = train(a_run(tmp_path / "there", "det", world=1, epochs=1, readers=2), world=1, port=free_ports(3))
    assert here["parameters_sha256"] == there["parameters_sha256"]
