"""How many processes read for a worker."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.unit.trainer.ppocr.workers import a_job
from trainer.errors import SpecError
from trainer.ppocr import readers
from trainer.ppocr.job import Job
from trainer.system.shared_memory import SharedMemory

MIB = 2**20
BATCH = 9 * MIB
"""Of a tenth of /dev/shm, which is left to others, 10 MiB a batch are needed."""


def a_worker(folder: Path, *, total: int, free: int | None = None, local_size: int = 1, **more: Any) -> Job:
    """Make a job on a machine with a /dev/shm of so many MiB."""
    memory = SharedMemory(total=total * MIB, free=(total if free is None else free) * MIB)
    return replace(a_job(folder, **more), shared_memory=memory, local_size=local_size)


@pytest.mark.parametrize(("cores", "workers", "wanted"), [(16, 4, 4), (24, 1, 24), (2, 4, 1), (192, 1, 64)])
def test_a_gpu_gets_its_share_of_the_cores(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cores: int, workers: int, wanted: int
) -> None:
    """At least one reader, and no more than a job file may ask for."""
    monkeypatch.setattr(readers, "cores", lambda: cores)
    assert readers.asked(a_worker(tmp_path, total=0, device="gpu", local_size=workers)) == wanted


def test_on_a_cpu_there_are_none_unless_the_job_file_says_so(tmp_path: Path) -> None:
    """They would take the cores from the training itself."""
    assert readers.asked(a_job(tmp_path)) == 0
    assert readers.asked(a_job(tmp_path, train={"readers": 3})) == 3


@pytest.mark.parametrize(
    ("free", "workers", "fits"), [(1000, 1, 4), (100, 1, 4), (99, 1, 3), (40, 1, 1), (39, 1, 0), (199, 2, 3)]
)
def test_there_are_no_more_readers_than_shared_memory_holds_batches_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free: int, workers: int, fits: int
) -> None:
    """Four readers hold ten batches. With room for no reader, a thread of the worker reads."""
    monkeypatch.setattr(readers, "cores", lambda: 4 * workers)
    job = a_worker(tmp_path, total=1000, free=free, local_size=workers, device="gpu")
    assert readers.fitting(job, batch=BATCH)[0] == fits


def test_fewer_readers_than_cores_are_a_note_with_the_size_that_is_needed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(readers, "cores", lambda: 8)
    job = a_worker(tmp_path, total=150, device="gpu", local_size=2)
    assert readers.fitting(job, batch=BATCH) == (
        2,
        "2 instead of 4 processes read samples for each device: /dev/shm has 150Mi free, and the batches of 4 need "
        "200Mi (placement.storage.sharedMemory; --shm-size of docker).",
    )
    roomy = replace(job, shared_memory=SharedMemory(total=200 * MIB, free=200 * MIB))
    assert readers.fitting(roomy, batch=BATCH) == (4, "")


def test_readers_of_the_job_file_that_never_fit_are_refused_with_the_size_that_is_needed(tmp_path: Path) -> None:
    job = a_worker(tmp_path, total=64, train={"readers": 8})
    with pytest.raises(SpecError) as refused:
        readers.fitting(job, batch=BATCH)
    assert str(refused.value) == (
        "run.train.readers is 8, but /dev/shm has 64Mi, and the batches of 8 readers for each of 1 devices need 180Mi "
        "(placement.storage.sharedMemory; --shm-size of docker). Increase it, or set run.train.readers to 2."
    )


def test_what_others_have_left_in_shared_memory_does_not_end_a_run(tmp_path: Path) -> None:
    """The job file is right, and the next attempt may find it empty."""
    count, note = readers.fitting(a_worker(tmp_path, total=180, free=60, train={"readers": 8}), batch=BATCH)
    assert count == 2
    assert note.startswith("2 instead of 8 processes read samples")
