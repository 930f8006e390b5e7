"""The receipts, 120 real pages as PPOCRLabel exported them, through check, prepare and crop."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from trainer.datasets import images, labels, tools
from trainer.datasets.prepared import Prepared
from trainer.run.spec import RunSpec, from_dict
from trainer.run.workdir import WorkDir
from trainer.stages.prepare import prepare

RECEIPTS = Path(__file__).parents[3] / "shared" / "data" / "receipts"


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
        assert len(pages) == pytest.approx({"train": 72}.get(split, 24), abs=12)


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


@pytest.mark.paddle
@pytest.mark.filterwarnings("default")  # paddlex brings libraries that warn when they are imported
def test_lines_are_cut_out_as_paddleocrs_own_pipeline_does_bit_for_bit() -> None:
    """What a recogniser is trained on is what users of the export feed it."""
    from paddlex.inference.pipelines.components import CropByPolys

    theirs = CropByPolys(det_box_type="quad")
    generator = np.random.default_rng(7)
    for line in (RECEIPTS / "Label.txt").read_text("utf-8").split("\n")[:4]:
        name, label = line.split("\t")
        page = cv2.imread(str(RECEIPTS.parent / name))
        upright = np.array([item["points"] for item in json.loads(label)])
        # The receipts' own boxes are upright; these are not.
        height, width = page.shape[:2]
        slanted = np.clip(upright + generator.integers(-6, 7, upright.shape), 0, [width - 1, height - 1])
        for box in (*upright, *slanted):
            assert np.array_equal(images.crop(page, box.tolist()), theirs(page, [box])[0])
