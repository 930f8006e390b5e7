"""`ocrfleet run` from a teacher to a published student, by the commands of the page that tells of it."""

import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest

from tests.e2e import narrow
from tests.e2e.commands import ocrfleet
from trainer.contract import ExitCode
from trainer.registry.models import show
from trainer.storage import open_store

pytestmark = [pytest.mark.paddle, pytest.mark.slow, pytest.mark.timeout(300)]
PAGE = Path(__file__).parents[2] / "docs/tasks/run/distil-a-smaller-model.md"
ROADS = {
    title: re.findall(r"^ocrfleet (.+)$", part, re.MULTILINE)
    for title, _, part in (section.partition("\n") for section in PAGE.read_text("utf-8").split("\n## "))
}


def follow(title: str, folder: Path, *, data: str, output: str, recipes: dict[str, str]) -> dict[str, str]:
    """Do what a section of the page says, shortly, on narrow networks; give what each command printed."""

    def do(words: str) -> str:
        words = words.replace("s3://ocr-data/slips/", data).replace("s3://ocr-models/slips/", output)
        words = words.replace("s3://ocr-models/slips@", f"{output.removesuffix('/')}@")
        recipe = next((recipe for file, recipe in recipes.items() if f" {file}" in words), None)
        given = shlex.split(re.sub(r"\b(\S+\.yaml)\b", rf"{folder}/\1", words))
        if given[0] in ("run", "check"):
            assert recipe
            given += sets(recipe)
        if given[0] == "run":
            given += ["--workdir", str(folder / "runs"), "--devices-per-node", "2"]
        ended = ocrfleet(*given)
        assert ended.returncode == ExitCode.DONE, f"{words}\n{ended.stdout}{ended.stderr}"
        return ended.stdout

    return {words: do(words) for words in ROADS[title]}


def sets(recipe: str) -> list[str]:
    names = ["Student", "Student2", "Teacher"] if recipe.startswith("rec") else None
    wanted: dict[str, Any] = {
        "run.overrides": json.dumps(narrow.overrides(recipe, networks=names)),
        "run.data.split": '"4:1:1"',
        "run.train": json.dumps({"epochs": 1, "batchSizePerDevice": {"rec": 4, "det": 1}[recipe[:3]]}),
        "run.gate.minimum": 0,
        "placement.device": "cpu",
    }
    if recipe == "det-pp-ocrv3-cml":
        wanted["run.distill.fineTuneEpochs"] = 1
    return [word for key, value in wanted.items() for word in ("--set", f"{key}={value}")]


def test_a_teacher_is_made_and_teaches_a_student_that_is_published(tmp_path: Path, data: str, bucket: str) -> None:
    """Two large detectors teach each other; the better one teaches two students by the channel that names it."""
    output = f"{bucket}models/"
    recipes = {"teacher.yaml": "det-pp-ocrv3-dml", "student.yaml": "det-pp-ocrv3-cml"}
    said = follow("A detector: train a teacher, then a student", tmp_path, data=data, output=output, recipes=recipes)
    teacher, student = (text.split()[0] for words, text in said.items() if words.startswith("run "))
    checked, shown = (
        next(text for words, text in said.items() if words.startswith(begin)) for begin in ("check", "models show")
    )
    assert f"points to run {teacher} now" in checked
    model = show(open_store(output), student)
    assert {file.name for file in model.files if file.name.startswith("inference/")} == {
        f"inference/inference.{kind}" for kind in ("json", "pdiparams", "yml")
    }
    assert re.search(r"picked: Student2?$", shown, re.MULTILINE), shown
    assert all(f"name: {name}\n" in shown for name in ("Student", "Student2", "Teacher")), shown


def test_the_best_of_three_recognisers_is_published(tmp_path: Path, data: str, bucket: str) -> None:
    """A third network by adding its name; the exported one loads and reads as it was trained (the stage verify)."""
    output = f"{bucket}models/"
    recipes = {"rec.yaml": "rec-pp-ocrv3-distill"}
    said = follow("A recogniser: let networks teach each other", tmp_path, data=data, output=output, recipes=recipes)
    (run,) = (text.split()[0] for words, text in said.items() if words.startswith("run "))
    show(open_store(output), run)
    told = json.loads(ocrfleet("models", "show", f"{output}#{run}", "-o", "json").stdout)
    assert set(json.dumps(told).split('"')) >= {"Student", "Student2", "Teacher"}
