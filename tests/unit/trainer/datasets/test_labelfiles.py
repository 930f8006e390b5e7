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


DIVIDED = ("det/train/train0.jpg", "det/train/train1.jpg", "det/val/val0.jpg", "det/test/test0.jpg")
"""Images as PPOCRLabel's script gen_ocr_train_val_test.py lays them out, beside label files with absolute paths."""


@pytest.mark.parametrize(
    "base",
    [
        pytest.param("/home/ann/train_data/", id="Linux"),
        pytest.param("/srv/shared/documents/ocr/2026/slips/second/try/train_data/", id="deep"),
        pytest.param("D:\\ocr\\train_data\\", id="Windows"),
        pytest.param("D:/ocr/train_data/", id="Windows, slashes"),
        pytest.param("D:\\ocr/train_data\\", id="Windows, mixed"),
        pytest.param("\\\\server\\share\\train_data\\", id="a share of Windows"),
        pytest.param("./train_data\\", id="relative, mixed"),
    ],
)
@pytest.mark.parametrize("moved", ["", "slips/"], ids=["as it was", "in another folder"])
def test_the_output_of_ppocrlabels_own_divider_is_found_by_the_end_of_its_paths(
    tmp_path: Path, base: str, moved: str
) -> None:
    def written(image: str) -> str:
        return base + (image.replace("/", "\\") if "\\" in base else image)

    files = {
        f"{moved}det/{split}.txt": "".join(f"{written(i)}\t{regions('x')}\n" for i in DIVIDED if f"/{split}/" in i)
        for split in ("train", "val", "test")
    }
    found = labels.read(dataset(tmp_path, files, *(moved + image for image in DIVIDED)), "det")
    assert found.problems == ()
    assert {(entry.image, entry.split) for entry in found.entries} == {
        (moved + image, {"train": "train", "val": "eval", "test": "test"}[image.split("/")[1]]) for image in DIVIDED
    }


@pytest.mark.parametrize("image", ["/etc/passwd.jpg", "C:\\b.jpg", "/../../b.jpg", "b\x00.jpg", "far/b.jpg"])
def test_an_absolute_path_of_no_image_below_is_missing_and_not_called_outside(tmp_path: Path, image: str) -> None:
    root = dataset(tmp_path / "data", {"rec_gt.txt": f"a.jpg\tx\n{image}\ty\n"}, "a.jpg")
    found = labels.read(root, "rec")
    found.require_form()
    assert [p.sentence for p in found.problems] == [f"rec_gt.txt:2: the image is missing: {image!r}"]


def test_a_path_may_leave_the_label_files_folder_but_not_the_dataset(tmp_path: Path) -> None:
    files = {"labels/rec_gt.txt": "../images/a.jpg\tx\n../images/gone.jpg\ty\n../../b.jpg\tz\n"}
    dataset(tmp_path, {}, "b.jpg")
    found = labels.read(dataset(tmp_path / "data", files, "images/a.jpg"), "rec")
    assert [entry.image for entry in found.entries] == ["images/a.jpg"]
    assert [p.sentence for p in found.problems] == [
        "labels/rec_gt.txt:2: the image is missing: '../images/gone.jpg'",
        "labels/rec_gt.txt:3: the image path leads outside the dataset folder: '../../b.jpg'",
    ]


def test_a_backslash_in_names_of_files_is_no_separator(tmp_path: Path) -> None:
    files = {"rec_gt.txt": "img/a\\b.jpg\tx\nimg/c.jpg\ty\n"}
    found = labels.read(dataset(tmp_path, files, "img/a\\b.jpg", "img/c.jpg"), "rec")
    assert [entry.image for entry in found.entries] == ["img/a\\b.jpg", "img/c.jpg"]


@pytest.mark.parametrize("task", ["det", "rec"])
def test_hidden_files_and_folders_are_no_data(tmp_path: Path, task: str) -> None:
    """A notebook leaves old copies in .ipynb_checkpoints; they were read first, and won."""
    label = regions("new") if task == "det" else "new"
    files = {
        ".ipynb_checkpoints/train_label-checkpoint.txt": f"a.jpg\t{label}\n",
        "img/.Trash/old_label.txt": f"../../a.jpg\t{label}\n",
        ".train_label.txt": f"a.jpg\t{label}\n",
        "train_label.txt": f"a.jpg\t{label}\n.thumbs/a.jpg\t{label}\n",
    }
    found = labels.read(dataset(tmp_path, files, "a.jpg", ".thumbs/a.jpg"), task)  # type: ignore[arg-type]
    assert [(entry.image, entry.source) for entry in found.entries] == [("a.jpg", "train_label.txt:1")]
    assert [p.sentence for p in found.problems] == [
        "train_label.txt:2: the image is missing: '.thumbs/a.jpg' (hidden files and folders are not part of a dataset)"
    ]


@pytest.mark.parametrize("name", ["rec_gt.txt", "list.txt", "LIST.TXT"])
@pytest.mark.parametrize("suffix", ["", ".jfif", ".JPE", ".gif", ".dat", ".0001"])
def test_the_suffix_of_an_image_does_not_decide(tmp_path: Path, name: str, suffix: str) -> None:
    images = [f"img/000{suffix}", f"img/001{suffix}"]
    found = labels.read(dataset(tmp_path, {name: "".join(f"{i}\tTEXT\n" for i in images)}, *images), "rec")
    assert ([entry.image for entry in found.entries], found.problems) == (images, ())


def test_crops_without_a_suffix_stay_with_their_page(tmp_path: Path) -> None:
    images = ["crop_img/000_crop_0", "crop_img/000_crop_1"]
    found = labels.read(dataset(tmp_path, {"rec_gt.txt": "".join(f"{i}\tTEXT\n" for i in images)}, *images), "rec")
    assert {entry.group for entry in found.entries} == {"crop_img/000"}


@pytest.mark.parametrize(
    ("there", "named"),
    [
        pytest.param("img/a.png", "img/a.jpg", id="another suffix"),
        pytest.param("img/a", "img/a.jpg", id="no suffix"),
        pytest.param("img/A.JPG", "img/a.jpg", id="another letter case"),
        pytest.param("Img/a.jpg", "img/a.jpg", id="a folder in another letter case"),
        pytest.param("img/u\u0308.jpg", "img/\xfc.jpg", id="another Unicode form"),
        pytest.param("a.png", "receipts/a.jpg", id="another suffix, and a folder that is gone"),
        pytest.param("img/a.png", "D:\\x\\img\\a.jpg", id="another suffix, and absolute"),
    ],
)
def test_an_image_that_is_nearly_there_is_named(tmp_path: Path, there: str, named: str) -> None:
    found = labels.read(dataset(tmp_path, {"rec_gt.txt": f"{named}\tx\n"}, there, "other.jpg"), "rec")
    assert [p.sentence for p in found.problems] == [
        f"rec_gt.txt:1: the image is missing: {named!r} (there is {there!r})"
    ]


def test_a_label_file_is_not_nearly_an_image(tmp_path: Path) -> None:
    found = labels.read(dataset(tmp_path, {"train.txt": "train.jpg\tx\n"}), "rec")
    assert [p.sentence for p in found.problems] == ["train.txt:1: the image is missing: 'train.jpg'"]


def test_texts_that_look_like_json_are_texts(tmp_path: Path) -> None:
    files = {"rec_gt.txt": "[1] a.jpg\t[{x}]\nb.jpg\t[{]\nc.jpg\t[{}]\n"}
    found = labels.read(dataset(tmp_path, files, "[1] a.jpg", "b.jpg", "c.jpg"), "rec")
    assert [(entry.image, entry.text) for entry in found.entries] == [
        ("[1] a.jpg", "[{x}]"),
        ("b.jpg", "[{]"),
        ("c.jpg", "[{}]"),
    ]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        pytest.param("MJ/data.mdb", bytes(64), id="by name"),
        pytest.param("MJ/train", bytes(16) + b"\xde\xc0\xef\xbe" + bytes(64), id="by content"),
    ],
)
@pytest.mark.parametrize("task", ["det", "rec"])
def test_an_lmdb_is_named_as_not_read_yet(tmp_path: Path, task: str, name: str, content: bytes) -> None:
    root = dataset(tmp_path, {name: content, "MJ/lock.mdb": bytes(64)})
    with pytest.raises(DatasetError, match=rf"^'{name}' in .* is an LMDB database, which is not read yet\. Write its "):
        labels.read(root, task)  # type: ignore[arg-type]


def test_labels_under_another_suffix_are_named(tmp_path: Path) -> None:
    root = dataset(tmp_path, {"rec/train.list": "a.jpg\tx\n", "Cache.cap": "a.jpg\tx\n"}, "rec/a.jpg")
    with pytest.raises(DatasetError, match=r"'rec/train\.list' has such lines: rename it to 'rec/train\.txt'\.$"):
        labels.read(root, "rec")


@pytest.mark.parametrize("key", ["transcription", "points"])
def test_regions_that_are_cut_off_are_still_regions(key: str, tmp_path: Path) -> None:
    """So the broken line is named, and its rest is no text to learn."""
    files = {"a.txt": f"a.png\t{regions('x')}\n", "b.txt": f'b.png\t[{{"{key}": \n'}
    found = labels.read(dataset(tmp_path, files, "a.png", "b.png"), "det")
    assert [entry.image for entry in found.entries] == ["a.png"]
    assert [problem.sentence.split(":")[:2] for problem in found.problems] == [["b.txt", "1"]]
