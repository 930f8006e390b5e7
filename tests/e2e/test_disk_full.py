"""A disk that is full at any stage: said in a sentence, nothing half is taken for whole, and space lets it go on.

No test can fill the disk of whoever runs it, so the kernel refuses what a file has beyond a size: each write then
fails as on a full disk, with another number of the error (EFBIG for ENOSPC), in the node and in its workers.
"""

import os
import re
import resource
import secrets
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from examples.demo import pages
from examples.local_s3 import Server
from jobs.jobfile import model as jobfile
from jobs.jobfile.model import TrainingJob
from jobs.local import plan
from tests.e2e.commands import job_file
from trainer import contract
from trainer.contract import ExitCode
from trainer.registry import models as registry
from trainer.storage import open_store

pytestmark = [pytest.mark.paddle, pytest.mark.timeout(300)]


@dataclass(frozen=True)
class Road:
    """One run, walked stage by stage; its bucket has a disk of its own."""

    job: TrainingJob
    folder: Path
    environment: Mapping[str, str]

    def go(self, stage: str, *, limit: int | None = None) -> subprocess.CompletedProcess[str]:
        """Do one stage as a node does it; with a limit, no file of its becomes larger than so many bytes."""
        run = plan.plan(self.job, plan.Options(workdir=self.folder, stage=stage))
        run.folder.node(0).logs.mkdir(parents=True, exist_ok=True)
        run.folder.node(0).run_file.write_text(run.run_file)
        node = run.nodes[0]

        def fill() -> None:
            if limit is not None:
                resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

        return subprocess.run(
            node.command,
            env={**os.environ, **self.environment, **node.environment},
            preexec_fn=fill,
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )

    def reach(self, stage: str) -> None:
        """Do what comes before a stage, where it is not done yet."""
        for before in contract.STAGES[: contract.STAGES.index(stage)]:
            if before != "rehearse" and not self.done(before):
                ended = self.go(before)
                assert ended.returncode == ExitCode.DONE, ended.stderr

    def done(self, stage: str) -> bool:
        """Whether a stage's receipt is there."""
        return plan.plan(self.job, plan.Options(workdir=self.folder)).folder.node(0).receipt(stage).exists()


@pytest.fixture(scope="module")
def road(tmp_path_factory: pytest.TempPathFactory, s3_server: Server) -> Road:
    folder = tmp_path_factory.mktemp("road")
    name = f"test-{secrets.token_hex(4)}"
    s3_server.create_bucket(name)
    pages.write_export(folder / "pages", pages=6, seed=1)
    export = {f"pages/{p.name}": p for p in (folder / "pages").iterdir()}
    open_store(f"s3://{name}/data/", environ=s3_server.environment).push(export)
    job = jobfile.load(job_file(folder, data=f"s3://{name}/data/", output=f"s3://{name}/models/"))
    return Road(job, folder / "runs", s3_server.environment)


# Of some stages the first file is stopped, of others one is left half.
@pytest.mark.parametrize(
    ("stage", "limit"),
    [
        ("fetch", 4_000),
        ("prepare", 1_000),
        ("train", 100_000),
        ("evaluate", 0),
        ("export", 100_000),
        ("verify", 0),
        ("publish", 10_000),
    ],
)
def test_a_full_disk_ends_a_stage_and_space_lets_it_go_on(road: Road, stage: str, limit: int) -> None:
    road.reach(stage)
    full = road.go(stage, limit=limit)
    assert full.returncode == ExitCode.TRANSIENT, full.stderr
    [sentence] = [line for line in full.stderr.splitlines() if line.startswith("error: ")]
    assert re.search(rf" cannot be written: .*; [\d,]+ bytes are free in {road.folder}", sentence)
    assert "Traceback" not in full.stderr
    assert not road.done(stage)
    assert not registry.list_models(open_store(road.job.run.output, environ=road.environment))
    ended = road.go(stage)
    assert ended.returncode == ExitCode.DONE, ended.stderr
    assert road.done(stage)


def test_what_was_published_after_all_of_them_is_whole(road: Road, tmp_path: Path) -> None:
    road.reach("publish")
    assert road.done("publish") or road.go("publish").returncode == ExitCode.DONE
    store = open_store(road.job.run.output, environ=road.environment)
    [model] = registry.list_models(store)
    manifest, _ = registry.pull(store, model.run, tmp_path / "model")
    assert {file.name.partition("/")[0] for file in manifest.files} == {"inference", "record.json", "report"}
