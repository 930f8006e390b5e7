"""The tiny trainer runs as the real one does: here on two nodes of this machine, without a cluster."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from examples.demo import pages
from tests.e2e.commands import job_file
from tests.tinytrainer.assemble import assemble
from trainer.contract import ExitCode
from trainer.state import checkpoints


class Here:
    """The tiny trainer, a dataset of six pages, and a job file."""

    def __init__(self, folder: Path, *, epochs: int, sets: Sequence[str] = ()) -> None:
        self.folder = folder
        self.tree = assemble(folder / "tree")
        pages.write_export(folder / "pages", pages=6, seed=1)
        data, output = (folder / "pages").as_uri(), (folder / "out").as_uri()
        self.file = job_file(folder, data=data, output=output, epochs=epochs, evaluateEvery=f"{epochs}ep", sets=sets)

    def start(self, *words: str) -> subprocess.Popen[str]:
        """Start `ocrfleet run` on two nodes with that trainer."""
        command = [sys.executable, "-m", "jobs.cli", "run", str(self.file), "--nodes", "2", *words]
        environ = {**os.environ, "PYTHONPATH": str(self.tree)}
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
        return subprocess.Popen(command, cwd=self.folder, env=environ, text=True, start_new_session=True, **pipes)

    def stop(self) -> None:
        """Start, and stop in the middle of training."""
        with self.start() as begun:
            assert begun.stdout
            for line in begun.stdout:
                if "%] step " in line:
                    begun.send_signal(signal.SIGTERM)
        assert begun.returncode == ExitCode.STOPPED

    @property
    def training(self) -> dict[str, Any]:
        """What the leader's training.json says."""
        (path,) = self.folder.glob(".ocrfleet/test-*/node-0/trained/training.json")
        facts: dict[str, Any] = json.loads(path.read_text("utf-8"))
        return facts

    @property
    def manifests(self) -> list[Path]:
        """Those of published models."""
        return list((self.folder / "out" / "runs").glob("*/manifest.json"))


def test_two_nodes_learn_one_model_and_publish_it(tmp_path: Path) -> None:
    here = Here(tmp_path, epochs=10)
    said, _ = (ran := here.start()).communicate(timeout=300)
    assert ran.returncode == ExitCode.DONE, said
    losses = [each["loss"] for each in here.training["history"]["loss"]]
    assert min(losses[-3:]) < losses[0] / 2, losses
    assert here.training["world_size"] == 2
    assert len(here.manifests) == 1


def test_a_stopped_run_resumes_and_ends_with_the_model_of_one_that_was_not_stopped(tmp_path: Path) -> None:
    whole, parts = (Here(tmp_path / name, epochs=10) for name in ("whole", "parts"))
    first = whole.start()
    parts.stop()
    (folder,) = parts.folder.glob(".ocrfleet/test-*/node-0/checkpoints")
    stopped_at = int(checkpoints.local(folder)[-1].name)
    again = parts.start()
    said, _ = again.communicate(timeout=300)
    assert f"resuming after step {stopped_at}." in said
    assert (again.returncode, first.communicate(timeout=300) and first.returncode) == (0, 0), said
    for facts in ("steps", "parameters_sha256", "samples"):
        assert parts.training[facts] == whole.training[facts]


def test_a_damaged_checkpoint_costs_steps_and_not_the_run(tmp_path: Path) -> None:
    """Here and in the bucket, so that only the one of step 0 is whole."""
    here = Here(tmp_path, epochs=3)
    here.stop()
    for newest in (here.folder.glob(".ocrfleet/test-*/node-0/checkpoints"), here.folder.glob("out/checkpoints/*/1")):
        (folder,) = newest
        weights = checkpoints.local(folder)[-1] / "model.npy"
        content = bytearray(weights.read_bytes())
        content[-1] ^= 1
        weights.write_bytes(content)
    said, _ = (again := here.start()).communicate(timeout=300)
    assert again.returncode == 0, said
    assert (
        said.count("is damaged: 'model.npy' has another sha256. Training resumes from the checkpoint of step 0.") == 2
    )
    losses = here.training["history"]["loss"]
    assert [each["step"] for each in losses] == list(range(1, here.training["steps"] + 1))


@pytest.mark.parametrize(("change", "code"), [("fail", ExitCode.DATASET), ("restart", ExitCode.DONE)])
def test_data_that_changed_under_a_run_are_not_mixed_in(tmp_path: Path, change: str, code: ExitCode) -> None:
    """The nodes have lost their disks, so they fetch it again. Both end alike, and neither waits for the other."""
    here = Here(tmp_path, epochs=3, sets=[f"run.data.onChange={change}"])
    here.stop()
    shutil.rmtree(tmp_path / ".ocrfleet")
    labels = tmp_path / "pages" / "Label.txt"
    _, *rest = labels.read_text("utf-8").splitlines(keepends=True)
    labels.write_text("".join(rest), "utf-8")
    said, _ = (again := here.start()).communicate(timeout=300)
    assert again.returncode == code, said
    assert "The data changed under this run: the checkpoint of step" in said
    assert bool(here.manifests) == (code == ExitCode.DONE)
    if code == ExitCode.DONE:
        losses = here.training["history"]["loss"]
        assert [each["step"] for each in losses] == list(range(1, here.training["steps"] + 1))


@pytest.mark.parametrize(("task", "code"), [("det", ExitCode.SPEC)])
def test_what_it_does_not_know_it_refuses(tmp_path: Path, task: str, code: ExitCode) -> None:
    here = Here(tmp_path, epochs=1)
    here.file = job_file(tmp_path, data=(tmp_path / "pages").as_uri(), task=task, name="det")
    said, _ = (ran := here.start()).communicate(timeout=300)
    assert ran.returncode == code, said
    assert "knows 'rec' only" in said
