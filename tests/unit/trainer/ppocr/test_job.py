"""What a worker works on. Paddle-free: it is read before Paddle is loaded."""

from pathlib import Path

import pytest
import yaml

from trainer import contract
from trainer.datasets.prepared import Prepared
from trainer.ppocr.job import Job
from trainer.run.workdir import WorkDir
from trainer.telemetry.events import Events

RUN = {"task": "rec", "recipe": "rec-crnn-mobile", "data": {"train": "s3://d/"}, "output": "s3://m/"}


def job(folder: Path, *, device: str = "cpu", counts: dict[str, int] | None = None, **train: object) -> Job:
    work = WorkDir(folder)
    work.prepared.mkdir(parents=True, exist_ok=True)
    content = {"apiVersion": contract.API_VERSION, "name": "x", "run": {**RUN, "train": train}}
    work.run_file.write_text(yaml.safe_dump(content), "utf-8")
    work.configuration.write_text("Global: {epoch_num: 3}\n", "utf-8")
    counts = {"train": 6, "eval": 2, "test": 2, **(counts or {})}
    Prepared(root=work.prepared, task="rec", digest="d", counts=counts, max_text_length=5, refused=()).save({})
    return Job.read(folder, device=device, rank=1, world=2, events=Events(1, None))


def test_a_job_is_what_lies_in_the_runs_folder(tmp_path: Path) -> None:
    read = job(tmp_path, epochs=7)
    assert (read.run.train.epochs, read.config, read.prepared.counts["train"]) == (7, {"Global": {"epoch_num": 3}}, 6)
    assert (read.rank, read.world, read.work.root) == (1, 2, tmp_path)


@pytest.mark.parametrize(("empty", "wanted", "taken"), [("eval", "eval", "test"), ("test", "test", "eval")])
def test_where_a_split_is_empty_the_other_is_judged_on(tmp_path: Path, empty: str, wanted: str, taken: str) -> None:
    assert job(tmp_path).split(wanted) == wanted
    assert job(tmp_path, counts={empty: 0}).split(wanted) == taken


def test_readers_are_the_job_files_or_as_many_as_there_is_room_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """None on a CPU, where they would take the cores from the training itself."""
    assert job(tmp_path, readers=3).readers == 3
    assert job(tmp_path).readers == 0
    for cores, workers, readers in ((16, 4, 4), (64, 1, 8), (2, 4, 1)):
        monkeypatch.setattr("trainer.ppocr.job.cores", lambda cores=cores: cores)
        monkeypatch.setenv("PADDLE_LOCAL_SIZE", str(workers))
        assert job(tmp_path, device="gpu").readers == readers


def test_a_worker_that_was_told_to_stop_knows_it(tmp_path: Path) -> None:
    read = job(tmp_path)
    assert not read.stopping()
    read._signals.append(15)
    assert read.stopping()
