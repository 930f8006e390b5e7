"""What a label file says, and what is wrong with it."""

import os
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.trainer.datasets.made import dataset, regions
from trainer.datasets import labels
from trainer.errors import DatasetError


def test_the_crops_of_an_export_serve_a_rec_run_when_the_pages_are_not_there(tmp_path: Path) -> None:
    """Crops of one page stay together."""
    files = {"rec_gt.txt": "crop_img/000_crop_0.jpg\tA\ncrop_img/000_crop_1.jpg\tB\ncrop_img/003_crop_0.jpg\tC\n"}
    root = dataset(tmp_path, files, *(f"crop_img/{n}.jpg" for n in ("000_crop_0", "000_crop_1", "003_crop_0")))
    found = labels.read(root, "rec")
    assert found.kind == "rec"
    assert [entry.group for entry in found.entries] == ["crop_img/000", "crop_img/000", "crop_img/003"]
    assert [entry.text for entry in found.entries] == ["A", "B", "C"]


def test_rec_label_files_win_over_pages_that_are_no_export(tmp_path: Path) -> None:
    files = {"det/train.txt": f"p.png\t{regions('x')}\n", "rec/rec_gt_train.txt": "c.png\tx\n"}
    root = dataset(tmp_path, files, "det/p.png", "rec/c.png")
    assert [entry.image for entry in labels.read(root, "rec").entries] == ["rec/c.png"]
    assert [entry.image for entry in labels.read(root, "det").entries] == ["det/p.png"]


def test_a_rec_line_may_list_variants_of_one_image(tmp_path: Path) -> None:
    files = {"rec_gt.txt": '["a.jpg", "b.jpg"]\tTEXT\nc.jpg\t###\n'}
    found = labels.read(dataset(tmp_path, files, "a.jpg", "b.jpg", "c.jpg"), "rec")
    assert [(e.image, e.text, e.group) for e in found.entries] == [
        ("a.jpg", "TEXT", "a.jpg"),
        ("b.jpg", "TEXT", "a.jpg"),
    ]
    assert found.ignored == 1


def test_windows_line_ends_a_byte_order_mark_and_back_slashes_are_no_fault(tmp_path: Path) -> None:
    files = {"rec_gt.txt": "\ufeffcrop_img\\a.jpg\tEINS ZWEI\r\n\r\ncrop_img\\b.jpg\tDREI\r\n"}
    found = labels.read(dataset(tmp_path, files, "crop_img/a.jpg", "crop_img/b.jpg"), "rec")
    assert [(e.image, e.text, e.source) for e in found.entries] == [
        ("crop_img/a.jpg", "EINS ZWEI", "rec_gt.txt:1"),
        ("crop_img/b.jpg", "DREI", "rec_gt.txt:3"),
    ]


def test_an_image_that_is_labelled_twice_counts_once(tmp_path: Path) -> None:
    files = {"Label.txt": f"a.jpg\t{regions('x')}\na.jpg\t{regions('y')}\n"}
    found = labels.read(dataset(tmp_path, files, "a.jpg"), "det")
    assert len(found.entries) == 1
    assert found.problems[0].sentence == "Label.txt:2: the image is labelled twice ('a.jpg': Label.txt:1)"


@pytest.mark.parametrize(
    ("line", "words"),
    [
        pytest.param(b"a.jpg []", "the line has no tab", id="no tab"),
        pytest.param(b'a.jpg\t[{"transcription": "x"', "the JSON is invalid", id="broken JSON"),
        pytest.param(b"a.jpg\t" + b"[" * 100_000, "the JSON is invalid", id="JSON without end"),
        pytest.param(b"a.jpg\t" + b"9" * 10_000, "the JSON is invalid", id="a number without end"),
        pytest.param(b"a.jpg\t{}", "not a JSON list of regions", id="no list"),
        pytest.param(b'a.jpg\t[{"points": [[1,1],[2,1],[2,2]]}]', "no `transcription`", id="no text"),
        pytest.param(b'a.jpg\t[{"transcription": "x"}]', "no `points`", id="no points"),
        pytest.param(
            b'a.jpg\t[{"transcription": "x", "points": [[1,1],[2,NaN],[2,2]]}]', "no `points`", id="not a number"
        ),
        pytest.param(b'a.jpg\t[{"transcription": "\\ud800", "points": []}]', "not valid Unicode", id="half a pair"),
        pytest.param("a.jpg\tSUMMÄ".encode("latin-1"), "not UTF-8", id="not UTF-8"),
        pytest.param(b"../a.jpg\t[]", "outside the dataset folder", id="parent"),
        pytest.param(b"x/../../a.jpg\t[]", "outside the dataset folder", id="parent, hidden"),
        pytest.param(b"..\\a.jpg\t[]", "outside the dataset folder", id="parent, with a backslash"),
    ],
)
def test_a_broken_line_ends_the_run_and_is_named(tmp_path: Path, line: bytes, words: str) -> None:
    good = f"a.jpg\t{regions('x')}\n".encode()
    (tmp_path / "a.jpg").write_bytes(b"not of the dataset")
    root = dataset(tmp_path / "data", {"Label.txt": good + line + b"\n"}, "a.jpg")
    with pytest.raises(DatasetError, match=r"^Label\.txt:2: ") as error:
        labels.read(root, "det").require_form()
    assert words in str(error.value)
    assert "\n" not in str(error.value)


def test_of_several_broken_lines_the_first_is_named_and_the_others_counted(tmp_path: Path) -> None:
    images = [f"{number}.jpg" for number in range(4)]
    lines = [*(f"{image}\t{regions('x')}" for image in images), "a.jpg", "b.jpg", "c.jpg", ""]
    root = dataset(tmp_path, {"Label.txt": "\n".join(lines)}, *images)
    with pytest.raises(DatasetError, match=r"^Label\.txt:5: .* \(2 more such lines: "):
        labels.read(root, "det").require_form()


@pytest.mark.parametrize(
    ("files", "task", "words"),
    [
        pytest.param({}, "det", "no label file", id="an empty folder"),
        pytest.param({"Label.txt": "\n"}, "det", "no label file", id="an empty label file"),
        pytest.param({"README.txt": "a.jpg is a picture\n"}, "det", "no label file", id="other text files"),
        pytest.param({"rec_gt.txt": "a.jpg\tx\n"}, "det", "rec_gt.txt:1 has the text", id="rec labels for det"),
    ],
)
def test_a_folder_without_labels_is_refused(tmp_path: Path, files: dict[str, str], task: str, words: str) -> None:
    with pytest.raises(DatasetError, match=words):
        labels.read(dataset(tmp_path, files, "a.jpg"), task)  # type: ignore[arg-type]


@pytest.mark.parametrize(("place", "refused"), [("outside.txt", True), ("data/kept/inside", False)])
def test_a_label_file_may_be_a_link_within_the_dataset_alone(tmp_path: Path, place: str, refused: bool) -> None:
    root = dataset(tmp_path / "data", {}, "a.jpg")
    (root / "kept").mkdir()
    (tmp_path / place).write_text(f"a.jpg\t{regions('x')}\n", "utf-8")
    os.symlink(tmp_path / place, root / "Label.txt")
    if not refused:
        assert [entry.image for entry in labels.read(root, "det").entries] == ["a.jpg"]
        return
    with pytest.raises(DatasetError, match=r"^'Label\.txt' in .* is a symbolic link that leads outside"):
        labels.read(root, "det")


@given(content=st.binary(max_size=200), name=st.sampled_from(["Label.txt", "train.txt", "x.txt"]))
def test_a_folder_of_garbage_is_a_dataset_error_and_nothing_else(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, name: str
) -> None:
    root = dataset(tmp_path_factory.mktemp("garbage"), {name: b"a.jpg\t[]\n" + content})
    for task in ("det", "rec"):
        with suppress(DatasetError):
            labels.read(root, task).require_form()  # type: ignore[arg-type]


def test_the_labels_need_the_standard_library_only() -> None:
    """The submitter reads labels on machines that have no numpy."""
    import subprocess
    import sys

    code = """
import sys
import trainer.datasets.labels
print([m for m in sys.modules if m in ('numpy', 'cv2', 'PIL', 'pydantic')])
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
