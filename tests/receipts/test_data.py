"""The receipts, 120 real pages as PPOCRLabel exported them, through check and prepare.

Not part of `make test`, which a clone alone must pass: the receipts are no part of the project. `make receipts` names
their folder in OCRFLEET_TEST_RECEIPTS; without it these tests fail.
"""

import os
from pathlib import Path

import pytest

from trainer.datasets import labels, tools
from trainer.datasets.prepared import Prepared
from trainer.run.spec import RunSpec, from_dict
from trainer.run.workdir import WorkDir
from trainer.stages.prepare import prepare

RECEIPTS = Path(os.environ.get("OCRFLEET_TEST_RECEIPTS", "OCRFLEET_TEST_RECEIPTS is not set")).absolute()


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Prepared]:
    """Both tasks of one dataset, prepared as a run does."""
    found = {}
    for task in ("det", "rec"):
        work = WorkDir(tmp_path_factory.mktemp(task))
        work.data.mkdir()
        work.train_data.symlink_to(RECEIPTS)
        raw = {"task": task, "recipe": "any", "output": "s3://m/x", "data": {"train": "s3://d/receipts/"}}
        prepare(from_dict(RunSpec, raw, where="run"), work)
        found[task] = Prepared.load(work.prepared)
    return found


def test_all_pages_and_lines_are_usable(prepared: dict[str, Prepared]) -> None:
    """Two of the 6,669 regions are marked `*`, as unreadable."""
    assert sum(prepared["det"].counts.values()) == 120
    assert sum(prepared["rec"].counts.values()) == 6667
    assert [p.refused for p in prepared.values()] == [(), ()]
    assert [p.ignored for p in prepared.values()] == [2, 2]
    assert prepared["rec"].max_text_length == 54
    characters = prepared["rec"].dictionary.read_text("utf-8").split("\n")[:-1]
    assert len(characters) == 63
    assert " " not in characters


def test_det_and_rec_are_tested_on_the_same_pages(prepared: dict[str, Prepared]) -> None:
    """Else a pair of models is tested on pages that one of them has learnt."""
    for split in ("train", "eval", "test"):
        pages = {sample.source for sample in prepared["det"].samples(split)}
        assert {sample.source.split("#")[0] for sample in prepared["rec"].samples(split)} == pages
        assert len(pages) == {"train": 71, "eval": 28, "test": 21}[split], "at 6:2:2 with the job file's own seed"


def test_both_runs_name_the_dataset_alike_and_as_check_does(prepared: dict[str, Prepared]) -> None:
    found = tools.check(RECEIPTS, "det")
    assert found.fatal is None
    assert {p.dataset_digest for p in prepared.values()} == {found.digest}


def test_the_crops_of_ppocrlabel_serve_alone(tmp_path: Path) -> None:
    """An export of crops, without its pages: the same texts, and the crops of a page are known to be of one."""
    lines = (RECEIPTS / "rec_gt.txt").read_text("utf-8").split("\n")[:300]
    (tmp_path / "rec_gt.txt").write_text("\n".join(lines), "utf-8")
    (tmp_path / "crop_img").mkdir()
    for line in lines:
        image = line.split("\t")[0]
        (tmp_path / image).write_bytes((RECEIPTS / image).read_bytes())
    found = tools.check(tmp_path, "rec")
    assert (found.samples + found.ignored, found.problems) == (300, ())
    groups = {entry.group for entry in labels.read(tmp_path, "rec").entries}
    assert groups == {line.split("_crop_")[0] for line in lines if line}
