"""Which files of a folder hold labels, and where their images are."""

from pathlib import Path

import pytest

from tests.unit.trainer.datasets.made import dataset, regions
from trainer.datasets import labels
from trainer.errors import DatasetError


def test_an_export_of_ppocrlabel_is_read_though_its_folder_has_another_name_now(tmp_path: Path) -> None:
    """The export writes `receipts/000.jpg`; what fetch pulled lies in `train/`."""
    root = dataset(
        tmp_path / "train",
        {
            "Label.txt": f"receipts/000.jpg\t{regions('TOTAL', '###')}\nreceipts/003.jpg\t{regions('9.30')}\n",
            "fileState.txt": "receipts/000.jpg\t1\n",
            "rec_gt.txt": "crop_img/000_crop_0.jpg\tTOTAL\n",
            "Cache.cap": "whatever",
        },
        "000.jpg",
        "003.jpg",
        "crop_img/000_crop_0.jpg",
    )
    for task in ("det", "rec"):
        found = labels.read(root, task)
        assert (found.kind, found.form, found.problems) == ("det", "PPOCRLabel export", ())
        assert [(e.image, e.source, e.split) for e in found.entries] == [
            ("000.jpg", "Label.txt:1", None),
            ("003.jpg", "Label.txt:2", None),
        ]
        assert [r.ignored for r in found.entries[0].regions] == [False, True]


def test_det_label_files_that_are_named_by_split_keep_it(tmp_path: Path) -> None:
    """Several label files, paths relative to the file's own folder or to the dataset's."""
    files = {
        "det/train_label.txt": f"images/a.png\t{regions('x')}\n",
        "det/val_label.txt": f"images/b.png\t{regions('x')}\n",
        "test.txt": f"det/images/c.png\t{regions('x')}\n",
    }
    root = dataset(tmp_path, files, "det/images/a.png", "det/images/b.png", "det/images/c.png")
    found = labels.read(root, "det")
    assert found.divided
    assert {entry.image[-5:]: entry.split for entry in found.entries} == {
        "a.png": "train",
        "b.png": "eval",
        "c.png": "test",
    }


def test_train_alone_is_a_name_and_no_division(tmp_path: Path) -> None:
    found = labels.read(dataset(tmp_path, {"train.txt": "a.png\tx\n"}, "a.png"), "rec")
    assert not found.divided


def test_one_reading_of_paths_holds_for_a_whole_file(tmp_path: Path) -> None:
    """`other/b.jpg` is not taken for `b.jpg`, which is another image."""
    line = regions("x")
    files = {"Label.txt": f"receipts/a.jpg\t{line}\nreceipts/c.jpg\t{line}\nother/b.jpg\t{line}\n"}
    found = labels.read(dataset(tmp_path, files, "a.jpg", "b.jpg", "c.jpg"), "det")
    assert [entry.image for entry in found.entries] == ["a.jpg", "c.jpg"]
    assert [p.sentence for p in found.problems] == ["Label.txt:3: the image is missing: 'other/b.jpg'"]


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="is not a folder"):
        labels.read(tmp_path / "nowhere", "det")


def test_a_label_file_whose_lines_all_lack_a_tab_is_recognised_by_its_name(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"^rec_gt_train\.txt:1: the line has no tab"):
        labels.read(dataset(tmp_path, {"rec_gt_train.txt": "a.jpg hello\n"}, "a.jpg"), "rec").require_form()
