"""The leader's side of the rehearsal: what it says of a run, and what a killed process means."""

from pathlib import Path
from typing import Any

import pytest

from trainer.errors import SpecError
from trainer.run import spec as runspec
from trainer.run.assignment import Assignment
from trainer.run.spec import RunSpec
from trainer.run.topology import Topology
from trainer.run.workdir import WorkDir
from trainer.stages.rehearse import CRASHES, killed, rehearse, warnings
from trainer.telemetry.events import Event, Notice, Rehearsed

RUN = {"task": "rec", "recipe": "rec-crnn-mobile", "data": {"train": "s3://data/"}, "output": "s3://models/"}
NEEDS: dict[str, Any] = {
    "batch": 8,
    "measured": 4,
    "step_seconds": 0.5,
    "run_seconds": 7200.0,
    "margin": 0.5,
    "host_memory_bytes": 1_000,
    "checkpoint_bytes": 50,
}


def given(folder: Path, *, longest: float | None = None) -> Assignment:
    return Assignment(
        name="lines",
        run=runspec.from_dict(RunSpec, RUN, where="run"),
        run_id="lines-00000001",
        work=WorkDir(folder),
        topology=Topology(devices_per_node=2),
        longest=longest,
    )


def test_the_export_is_read_in_a_process_of_its_own_and_nothing_is_left(tmp_path: Path) -> None:
    assigned, seen, said = given(tmp_path), list[str](), list[Event]()

    def worker(stage: str) -> dict[str, Any]:
        seen.append(stage)
        (assigned.work.rehearsal / stage).write_text("", "utf-8")
        return {"rehearse": NEEDS, "reread": {"paddleocr": "3.7.0"}}[stage]

    assert rehearse(assigned, worker=worker, tell=said.append) == {**NEEDS, "paddleocr": "3.7.0"}
    assert seen == ["rehearse", "reread"]
    assert [event for event in said if not isinstance(event, Notice)] == [Rehearsed(**NEEDS)]
    assert not assigned.work.rehearsal.exists()


def test_what_a_failed_rehearsal_leaves_is_not_taken_for_the_next_ones(tmp_path: Path) -> None:
    def fail(stage: str) -> dict[str, Any]:
        raise SpecError(stage)

    with pytest.raises(SpecError, match=r"^rehearse$"):
        rehearse(given(tmp_path), worker=fail, tell=lambda _: None)
    assert not WorkDir(tmp_path).rehearsal.exists()


@pytest.mark.parametrize(
    ("longest", "available", "said"),
    [
        (None, None, []),
        (3601.0, 2000, []),
        (3599.0, 2000, ["The run would take about 2h00m, but placement.deadlines.run ends it after 59m59s."]),
        (None, 1999, ["The 2 workers of a node need about 2.0 kB of memory, but 2.0 kB are free."]),
    ],
    ids=["unknown", "enough", "too long even at best", "too little memory"],
)
def test_what_the_run_will_not_get_is_said_at_once(
    tmp_path: Path, longest: float | None, available: int | None, said: list[str]
) -> None:
    found = warnings(Rehearsed(**NEEDS), given(tmp_path, longest=longest), available=available)
    assert [each.startswith(start) for each, start in zip(found, said, strict=True)] == [True] * len(said)


@pytest.mark.parametrize("by", sorted(CRASHES))
def test_a_crash_names_the_part_that_was_tried(tmp_path: Path, by: str) -> None:
    assigned = given(tmp_path)
    assert "in its start" in str(killed(by, without_memory=False, given=assigned))
    assigned.work.rehearsal.mkdir()
    assigned.work.rehearsed_part.write_text("the export (Architecture X)", "utf-8")
    error = killed(by, without_memory=False, given=assigned)
    assert isinstance(error, SpecError)
    assert str(error).startswith(f"The rehearsal crashed with {by} in the export (Architecture X). ")


def test_memory_that_runs_out_is_no_transient_failure(tmp_path: Path) -> None:
    error = killed("SIGKILL", without_memory=True, given=given(tmp_path))
    assert isinstance(error, SpecError)
    assert "Lower run.train.batchSizePerDevice" in str(error)


def test_what_somebody_else_kills_is_worth_a_retry(tmp_path: Path) -> None:
    assert killed("SIGKILL", without_memory=False, given=given(tmp_path)) is None
    assert killed("SIGTERM", without_memory=False, given=given(tmp_path)) is None
