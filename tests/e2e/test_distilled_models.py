"""`ocrfleet run` from a teacher to a published student: a distillation is one job file with one outcome."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.e2e import narrow
from tests.e2e.commands import job_file, ocrfleet
from trainer.registry import show
from trainer.storage import open_store

pytestmark = [pytest.mark.paddle, pytest.mark.timeout(300)]


def publish(folder: Path, recipe: str, *, data: str, output: str, networks: list[str] | None = None, **run: Any) -> str:
    """Run a distillation of narrow networks on two processes; give the run's id."""
    path = job_file(folder, data=data, output=output, task=recipe[:3], name=recipe[-3:], devices=2)
    raw = yaml.safe_load(path.read_text())
    raw["run"] |= {"recipe": recipe, "overrides": narrow.overrides(recipe, networks=networks), **run}
    raw["run"]["train"] = {"epochs": 1, "batchSizePerDevice": {"rec": 4, "det": 1}[recipe[:3]]}
    path.write_text(yaml.safe_dump(raw))
    done = ocrfleet("run", str(path), "--workdir", str(folder / "runs"))
    assert done.returncode == 0, done.stderr
    return done.stdout.split()[0]


def test_a_teacher_is_made_and_teaches_a_student_that_is_published(tmp_path: Path, data: str, bucket: str) -> None:
    """Two large networks teach each other; the better one's weights teach two students by the channel that names it."""
    output = f"{bucket}models/"
    publish(
        tmp_path,
        "det-pp-ocrv3-dml",
        data=data,
        output=output,
        publish={"weights": True, "promote": "teacher"},
    )
    student = publish(
        tmp_path,
        "det-pp-ocrv3-cml",
        data=data,
        output=output,
        distill={"teacher": "channel:teacher", "fineTuneEpochs": 1, "baseline": "channel:teacher"},
    )
    model = show(open_store(output), student)
    assert {file.name for file in model.files if file.name.startswith("inference/")} == {
        f"inference/inference.{kind}" for kind in ("json", "pdiparams", "yml")
    }
    told = ocrfleet("models", "show", f"{output}#{student}").stdout
    assert "Student" in told, told
    assert "Teacher" in told, told


def test_the_best_of_three_recognisers_is_published(tmp_path: Path, data: str, bucket: str) -> None:
    """A third network by adding its name; the exported one loads and reads as it was trained (the stage verify)."""
    output = f"{bucket}models/"
    run = publish(
        tmp_path,
        "rec-pp-ocrv3-distill",
        data=data,
        output=output,
        networks=["Student", "Student2", "Teacher"],
        distill={"networks": {"Student2": "Student"}},
    )
    show(open_store(output), run)
    told = json.loads(ocrfleet("models", "show", f"{output}#{run}", "-o", "json").stdout)
    assert set(json.dumps(told).split('"')) >= {"Student", "Student2", "Teacher"}
