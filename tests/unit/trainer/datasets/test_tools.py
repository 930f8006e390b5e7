"""Prepared datasets, and what `ocrfleet data` does with folders of this machine."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from trainer.datasets import dictionary, hashing, labels, tools
from trainer.datasets.prepared import Prepared, Sample
from trainer.errors import DatasetError, SpecError

BOX = [[2, 2], [30, 2], [30, 12], [2, 12]]


def export(root: Path, count: int = 10) -> Path:
    root.mkdir()
    lines = []
    for n in range(count):
        pixels = np.random.default_rng(n).integers(0, 255, (30, 40, 3), np.uint8)
        (root / f"{n}.png").write_bytes(cv2.imencode(".png", pixels)[1].tobytes())
        regions = [
            {"transcription": f"NO {n}", "points": BOX, "difficult": False},
            {"transcription": "x", "points": BOX, "difficult": True},
        ]
        lines.append(f"{root.name}/{n}.png\t{json.dumps(regions)}\n")
    (root / "Label.txt").write_text("".join(lines), "utf-8")
    return root


def test_what_is_saved_is_loaded_wherever_the_folder_is_moved(tmp_path: Path) -> None:
    """A label may hold U+2028, which Python takes for a line's end."""
    root = tmp_path / "node" / "prepared"
    root.mkdir(parents=True)
    sample = Sample(image=tmp_path / "node" / "data" / "a.png", label="a\u2028b", source="x.txt:1", width=3, height=2)
    prepared = Prepared(
        root=root,
        task="rec",
        digest="d",
        counts={"train": 1, "eval": 0},
        max_text_length=3,
        refused=({"source": "x.txt:2", "reason": "why"},),
    )
    prepared.save({"train": [sample], "eval": []})
    (tmp_path / "node").rename(tmp_path / "moved")
    moved = tmp_path / "moved" / "prepared"
    found = Prepared.load(moved)
    assert found == Prepared(**{**vars(prepared), "root": moved})
    assert found.samples("eval") == []
    [back] = found.samples("train")
    assert back.image.resolve() == tmp_path / "moved" / "data" / "a.png"
    assert (back.label, back.source, back.width, back.height) == ("a\u2028b", "x.txt:1", 3, 2)


def test_check_counts_what_a_run_could_use(tmp_path: Path) -> None:
    root = export(tmp_path / "export")
    pages, lines = tools.check(root, "det"), tools.check(root, "rec")
    assert (pages.samples, pages.images, pages.ignored, pages.fatal) == (10, 10, 10, None)
    assert (lines.samples, lines.ignored, lines.max_text_length) == (10, 10, 4)
    assert "".join(lines.characters) == "0123456789NO"
    assert lines.digest == pages.digest
    assert sorted(path.name for path in root.iterdir()) == sorted([*(f"{n}.png" for n in range(10)), "Label.txt"])


def test_check_names_every_problem_and_what_a_run_would_end_with(tmp_path: Path) -> None:
    root = export(tmp_path / "export")
    (root / "3.png").unlink()
    with (root / "Label.txt").open("a") as file:
        file.write("no tab\nno tab either\n")
    found = tools.check(root, "det")
    assert [p.source for p in found.problems] == ["Label.txt:11", "Label.txt:12", "Label.txt:4"]
    assert found.fatal is not None
    assert found.fatal.startswith("Label.txt:11: the line has no tab")


def test_check_holds_labels_against_a_dictionary(tmp_path: Path) -> None:
    root = export(tmp_path / "export")
    dictionary.save(list("NO01234567"), tmp_path / "d.txt")
    found = tools.check(root, "rec", characters=tmp_path / "d.txt")
    assert (found.samples, [p.source for p in found.problems]) == (8, ["Label.txt:9#1", "Label.txt:10#1"])
    dictionary.save(["x"], tmp_path / "d.txt")
    assert tools.check(root, "rec", characters=tmp_path / "d.txt").fatal is not None


def test_divide_writes_a_dataset_that_a_run_takes_as_it_is_divided(tmp_path: Path) -> None:
    root = export(tmp_path / "export", 20)
    written = tools.divide(root, tmp_path / "divided", task="det", seed=7)
    assert sum(written.label_files.values()) == 20
    assert written.label_files.keys() == {"train.txt", "val.txt", "test.txt"}
    found, before = labels.read(tmp_path / "divided", "det"), labels.read(root, "det")
    assert found.problems == ()
    expected = hashing.assign([e.image for e in before.entries], shares=(6, 2, 2), seed=7)
    assert {e.image.removeprefix("images/"): e.split for e in found.entries} == expected
    assert {e.regions for e in found.entries} == {e.regions for e in before.entries}


def test_crop_writes_a_rec_dataset_whose_names_tell_the_page(tmp_path: Path) -> None:
    root = export(tmp_path / "export")
    written = tools.crop(root, tmp_path / "lines")
    assert written.label_files == {"rec_gt.txt": 10}
    found = labels.read(tmp_path / "lines", "rec")
    assert [(e.image, e.text, e.group) for e in found.entries][3] == ("crop_img/3_crop_0.png", "NO 3", "crop_img/3")
    page = cv2.imread(str(root / "3.png"))
    assert np.array_equal(cv2.imread(str(tmp_path / "lines" / "crop_img" / "3_crop_0.png")), page[2:12, 2:30])


def test_crop_keeps_a_division(tmp_path: Path) -> None:
    tools.divide(export(tmp_path / "export", 20), tmp_path / "divided", task="det")
    written = tools.crop(tmp_path / "divided", tmp_path / "lines")
    assert written.label_files.keys() == {"rec_gt_train.txt", "rec_gt_val.txt", "rec_gt_test.txt"}
    assert labels.read(tmp_path / "lines", "rec").divided


@pytest.mark.parametrize("place", ["export", "export/inside", "full"])
def test_nothing_is_overwritten(tmp_path: Path, place: str) -> None:
    root = export(tmp_path / "export")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("mine")
    with pytest.raises(SpecError, match=place):
        tools.crop(root, tmp_path / place)


def test_a_broken_dataset_is_not_divided(tmp_path: Path) -> None:
    root = export(tmp_path / "export")
    (root / "Label.txt").write_text("0.png []\n")
    with pytest.raises(DatasetError, match=r"^Label\.txt:1: the line has no tab"):
        tools.divide(root, tmp_path / "out", task="det")
    assert not (tmp_path / "out").exists()
