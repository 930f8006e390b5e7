"""Curves for VisualDL: what is written, and that no fault of it reaches a run.

But for the last test, the package here is a stand-in on the path that notes its calls, so that it can be made to fail.
"""

import importlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from trainer.telemetry.events import Checkpointed, Evaluated, Step
from trainer.telemetry.visualdl import Scalars

WORKING = """
import json
from pathlib import Path

class LogWriter:
    def __init__(self, logdir):
        Path(logdir).mkdir(parents=True, exist_ok=True)
        self.path = Path(logdir) / "calls.jsonl"
        self.lines = []

    def add_scalar(self, tag, value, step):
        self.lines.append(json.dumps([tag, value, step]))

    def close(self):
        self.path.write_text("\\n".join(self.lines))
"""
FULL = """
class LogWriter:
    def __init__(self, logdir):
        pass

    def add_scalar(self, tag, value, step):
        raise OSError("No space left on device")

    def close(self):
        raise OSError("No space left on device")
"""


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Put a `visualdl` of this text on the path."""

    def put(text: str) -> None:
        package = tmp_path / "site" / "visualdl.py"
        package.parent.mkdir()
        package.write_text(text)
        monkeypatch.syspath_prepend(str(package.parent))
        importlib.invalidate_caches()

    monkeypatch.delitem(sys.modules, "visualdl", raising=False)
    yield put
    sys.modules.pop("visualdl", None)


def step(number: int, *, rank: int = 0, loss: float = 0.5) -> Step:
    return Step(
        rank=rank,
        step=number,
        steps=400,
        epoch=1,
        epochs=2,
        loss={"loss": loss, "loss_ctc": 0.25},
        lr=1e-3,
        samples=32,
        seconds=0.5,
        reader_seconds=0.0,
    )


def evaluated(number: int) -> Evaluated:
    return Evaluated(rank=0, step=number, epoch=1, metrics={"acc": 0.75}, best=True, seconds=0.5)


def written(folder: Path) -> list[Any]:
    return [json.loads(line) for line in (folder / "calls.jsonl").read_text().splitlines()]


def test_every_number_of_rank_0_is_written_at_its_step(tmp_path: Path, install: Any) -> None:
    """Ranks go in step, so another rank's are of the same moment; all ranks' samples count for the speed."""
    install(WORKING)
    said: list[str] = []
    scalars = Scalars(lambda: tmp_path / "log", world=2, say=said.append)
    for event in (step(7), step(7, rank=1), evaluated(7), Checkpointed(rank=0, step=7, seconds=0.1)):
        scalars.hear(event)
    scalars.close()
    assert written(tmp_path / "log") == [
        ["TRAIN/loss", 0.5, 7],
        ["TRAIN/loss_ctc", 0.25, 7],
        ["TRAIN/lr", 1e-3, 7],
        ["TRAIN/samples_per_second", 128.0, 7],
        ["EVAL/acc", 0.75, 7],
    ]
    assert said == []


def test_a_second_attempt_writes_into_its_own_folder(tmp_path: Path, install: Any) -> None:
    """Else the curve of a run that went back to a checkpoint would run backwards."""
    install(WORKING)
    attempt = 1
    scalars = Scalars(lambda: tmp_path / f"attempt-{attempt}", world=1, say=print)
    scalars.hear(step(1))
    scalars.close()
    attempt = 2
    scalars.hear(step(5))
    scalars.close()
    assert {line[2] for line in written(tmp_path / "attempt-1")} == {1}
    assert {line[2] for line in written(tmp_path / "attempt-2")} == {5}


def test_without_the_package_nothing_is_written_or_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "visualdl", None)
    said: list[str] = []
    scalars = Scalars(lambda: tmp_path / "log", world=1, say=said.append)
    scalars.hear(step(1))
    scalars.close()
    assert said == []
    assert not (tmp_path / "log").exists()


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("import flask_of_another_version", "ModuleNotFoundError: No module named 'flask_of_another_version'"),
        ("LogReader = None", "AttributeError: module 'visualdl' has no attribute 'LogWriter'"),
        (FULL, "OSError: No space left on device"),
    ],
)
def test_a_broken_package_is_said_once_and_left_alone(tmp_path: Path, install: Any, text: str, reason: str) -> None:
    install(text)
    said: list[str] = []
    scalars = Scalars(lambda: tmp_path / "log", world=1, say=said.append)
    for number in range(3):
        scalars.hear(step(number))
    scalars.close()
    assert len(said) == 1
    assert reason in said[0]


def test_visualdl_itself_reads_what_was_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # On its first import the package makes a folder in the user's home.
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    scalars = Scalars(lambda: tmp_path / "log", world=1, say=pytest.fail)
    for event in (step(1), step(2, loss=0.25), evaluated(2)):
        scalars.hear(event)
    scalars.close()
    (path,) = (tmp_path / "log").iterdir()
    reader = importlib.import_module("visualdl").LogReader(file_path=str(path))
    assert [(record.id, record.value) for record in reader.get_data("scalar", "TRAIN/loss")] == [(1, 0.5), (2, 0.25)]
    assert [(record.id, record.value) for record in reader.get_data("scalar", "EVAL/acc")] == [(2, 0.75)]
    assert {"TRAIN/loss_ctc", "TRAIN/lr", "TRAIN/samples_per_second"} <= set(reader.get_tags()["scalar"])
