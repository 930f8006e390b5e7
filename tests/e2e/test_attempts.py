"""A gang that loses a worker or a node meets again, and trains the model that it would have trained."""

import contextlib
import os
import signal
import subprocess
from pathlib import Path

import psutil
import pytest

from jobs.jobfile import model as jobfile
from jobs.local import plan
from tests.e2e.commands import job_file
from trainer import contract
from trainer.contract import ExitCode
from trainer.registry.models import show
from trainer.storage import open_store

pytestmark = [pytest.mark.paddle, pytest.mark.slow, pytest.mark.timeout(300)]


class Nodes:
    """Two nodes of a run, started one by one as a Job's controller would."""

    def __init__(self, folder: Path, *, data: str, output: str) -> None:
        folder.mkdir()
        self.output = output
        sets = ["run.checkpoint.every=3steps", "placement.deadlines.rendezvous=2m"]
        path = job_file(folder, data=data, output=output, epochs=8, evaluateEvery="8ep", sets=sets)
        self.run = plan.plan(jobfile.load(path), plan.Options(nodes=2, workdir=folder / "runs"))
        self.processes: dict[int, subprocess.Popen[str]] = {}
        self.said: dict[int, Path] = {rank: folder / f"node-{rank}.txt" for rank in (0, 1)}

    def start(self, *ranks: int) -> None:
        for rank in ranks:
            node = self.run.nodes[rank]
            plan._write_run_file(self.run, rank)
            self.processes[rank] = subprocess.Popen(
                node.command,
                env={**os.environ, **node.environment, contract.ENV_RETRIES: "3"},
                stderr=subprocess.PIPE,
                text=True,
            )

    def wait_until(self, rank: int, beginning: str) -> None:
        said = []
        for line in self.processes[rank].stderr or ():
            said.append(line)
            if line.startswith(beginning):
                return
        raise AssertionError("".join(said))

    def kill(self, rank: int) -> None:
        """End a node with all that is in it, as when its machine loses power."""
        process = psutil.Process(self.processes[rank].pid)
        for member in [process, *process.children(recursive=True)]:
            with contextlib.suppress(psutil.NoSuchProcess):
                member.kill()
        self.processes[rank].communicate()

    def kill_worker(self, rank: int) -> None:
        for child in psutil.Process(self.processes[rank].pid).children():
            if "trainer.ppocr.worker" in child.cmdline():
                child.send_signal(signal.SIGKILL)
                return
        raise AssertionError("no worker")

    def finish(self, *, code: ExitCode = ExitCode.DONE) -> dict[int, str]:
        said = {rank: process.communicate(timeout=200)[1] for rank, process in self.processes.items()}
        for rank, process in self.processes.items():
            assert process.returncode == code, said[rank]
        return said

    def model(self) -> dict[str, str]:
        files = show(open_store(self.output), self.run.run_id).files
        return {file.name: file.sha256 for file in files if file.name.endswith(".pdiparams")}


@pytest.fixture
def undisturbed(tmp_path: Path, data: str, bucket: str) -> dict[str, str]:
    """The model of two nodes that nothing happens to."""
    nodes = Nodes(tmp_path / "undisturbed", data=data, output=f"{bucket}undisturbed/")
    nodes.start(0, 1)
    nodes.finish()
    return nodes.model()


def test_a_lost_worker_and_lost_nodes_cost_attempts_and_not_the_model(
    tmp_path: Path, data: str, bucket: str, undisturbed: dict[str, str]
) -> None:
    """First a worker, then the second node, then the leader; each after another checkpoint."""
    nodes = Nodes(tmp_path / "disturbed", data=data, output=f"{bucket}disturbed/")
    nodes.start(0, 1)
    nodes.wait_until(0, "[train] checkpoint at step 3 ")
    nodes.kill_worker(1)
    nodes.wait_until(0, "[train] Node 1 was lost: Worker 1 was killed by SIGKILL")
    nodes.wait_until(0, "[train] checkpoint at step")
    nodes.kill(1)
    nodes.start(1)
    nodes.wait_until(0, "[train] Node 1 was lost: its connection closed")
    nodes.wait_until(0, "[train] checkpoint at step")
    nodes.kill(0)
    nodes.start(0)
    nodes.wait_until(1, "[train] Node 0, the leader, was lost")
    said = nodes.finish()
    assert "resuming after step" in said[0]
    assert nodes.model() == undisturbed


def test_a_newer_object_takes_up_the_run_and_the_older_one_ends(
    tmp_path: Path, data: str, bucket: str, undisturbed: dict[str, str]
) -> None:
    """Both at work at once, each with its own nodes and ports, as two placements of one run on a cluster."""
    older, newer = (Nodes(tmp_path / name, data=data, output=f"{bucket}taken/") for name in ("older", "newer"))
    older.start(0, 1)
    older.wait_until(0, "[train] checkpoint at step 3 ")
    newer.start(0, 1)
    ended = older.finish(code=ExitCode.SUPERSEDED)
    assert "raise placement.retry" in ended[0]
    assert "resuming after step" in newer.finish()[0]
    assert newer.model() == undisturbed
