"""The tiny trainer is the trainer with one file replaced, in an image of the same contract."""

from pathlib import Path

import pytest

from tests.tinytrainer.assemble import ROOT, WORKER, assemble


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    return assemble(tmp_path)


def test_no_file_of_the_trainer_differs_but_the_worker(tree: Path) -> None:
    ours = {path.relative_to(tree): path.read_bytes() for path in (tree / "trainer").rglob("*.*") if path.is_file()}
    theirs = {name: (ROOT / name).read_bytes() for name in ours}
    assert [name for name in ours if ours[name] != theirs[name]] == [WORKER]
    assert {path.relative_to(ROOT) for path in (ROOT / "trainer").rglob("*.py")} - ours.keys() == set()


def test_its_image_ends_with_the_very_stage_of_the_projects() -> None:
    stages = [(ROOT / folder / "Dockerfile").read_text("utf-8") for folder in ("", "tests/tinytrainer")]
    last = [text[text.rindex("\nFROM packages\n") :] for text in stages]
    assert last[0] == last[1]
    assert "io.ocrfleet.contract" in last[0]
