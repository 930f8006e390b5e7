"""The rehearsal with real paddle: what it says of a run that works, and how it ends one that would fail later."""

import re
from pathlib import Path

import pytest

from examples.demo import pages
from tests.e2e.commands import job_file, ocrfleet
from trainer.contract import ExitCode

pytestmark = [pytest.mark.paddle, pytest.mark.timeout(240)]

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
