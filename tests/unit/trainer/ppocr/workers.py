"""Workers of unit tests: a real job in a folder, and the events that it sent."""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from trainer import contract
from trainer.datasets.prepared import Prepared
from trainer.ppocr.job import Job
from trainer.run.workdir import WorkDir
from trainer.telemetry import events

RUN = {"task": "rec", "recipe": "rec-crnn-mobile", "data": {"train": "s3://d/"}, "output": "s3://m/"}


def a_job(
    folder: Path,
    *,
    rank: int = 0,
    world: int = 1,
    device: str = "cpu",
    config: Mapping[str, Any] | None = None,
    counts: Mapping[str, int] | None = None,
    refused: Sequence[Mapping[str, Any]] = (),
    epochs: int = 3,
    **run: Any,
) -> Job:
    """Write a run's folder and read it as a worker does; parts of `run` replace those of `RUN`."""
    work = WorkDir(folder)
    work.prepared.mkdir(parents=True, exist_ok=True)
    work.trained.mkdir(exist_ok=True)
    content = {"apiVersion": contract.API_VERSION, "name": "x", "run": {**RUN, **run}}
    work.run_file.write_text(yaml.safe_dump(content), "utf-8")
    work.configuration.write_text(yaml.safe_dump({"Global": {"epoch_num": epochs}, **(config or {})}), "utf-8")
    counts = {"train": 6, "eval": 2, "test": 2, **(counts or {})}
    prepared = Prepared(
        root=work.prepared, task="rec", digest="d", counts=counts, max_text_length=5, refused=tuple(refused)
    )
    prepared.save({})
    told = events.Events(rank, io.BytesIO())
    return Job.read(folder, device=device, rank=rank, world=world, events=told)


def heard(job: Job) -> list[events.Event]:
    """Return the events that a job's supervisor got."""
    stream = job.events._stream
    assert isinstance(stream, io.BytesIO)
    return list(events.read(io.BytesIO(stream.getvalue())))
