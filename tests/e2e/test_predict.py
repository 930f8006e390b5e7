"""Predict with real exported models: a detector that finds what is dark, a recogniser that reads brightness."""

import copy
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from tests.unit.trainer.datasets.test_image_workers import worker_that
from trainer.contract import ExitCode
from trainer.evaluation import drawing

pytestmark = [
    pytest.mark.paddle,
    pytest.mark.timeout(60),
    # The imports of paddle themselves warn.
    pytest.mark.filterwarnings("ignore"),
]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Export two networks without weights to learn: they do what a trained one does, on clean pages."""
    import paddle
    from paddle.nn import functional

    from trainer.ppocr import export, standin_model

    class Dark(paddle.nn.Layer):  # type: ignore[misc]
        """Text is where it is darker than paper within a few pixels."""

        def __init__(self) -> None:
            super().__init__()
            self.gain = self.create_parameter([1], default_initializer=paddle.nn.initializer.Constant(30.0))

        def forward(self, x: Any) -> Any:
            near = functional.max_pool2d(-x.mean(1, keepdim=True), [5, 41], 1, [2, 20])
            return {"maps": functional.sigmoid(self.gain * (near + 1.0))}

    class Brightness(paddle.nn.Layer):  # type: ignore[misc]
        """Each 16 columns are a digit: how bright they are."""

        def __init__(self) -> None:
            super().__init__()
            self.classes = self.create_parameter([12])
            self.classes.set_value(paddle.arange(12, dtype="float32"))

        def forward(self, x: Any) -> Any:
            steps = functional.avg_pool2d(x.mean(1, keepdim=True), [32, 16]).flatten(1)
            return functional.softmax(-2 * paddle.abs(steps.unsqueeze(2) * 5 + 6 - self.classes), -1)

    root = tmp_path_factory.mktemp("models")
    (root / "digits.txt").write_text("\n".join("0123456789"), "utf-8")
    rec = {**standin_model.REC, "Global": {"character_dict_path": str(root / "digits.txt"), "use_space_char": True}}
    det = copy.deepcopy(standin_model.DET)
    det["Eval"]["dataset"]["transforms"][1]["DetResizeForTest"]["limit_side_len"] = 640
    export.export_layer(Dark(), det, root / "det", model_name="PP-OCRv3_mobile_det")
    export.export_layer(Brightness(), rec, root / "rec", model_name="PP-OCRv3_mobile_rec")
    return root / "det", root / "rec"


def page(path: Path, *rows: str) -> Path:
    """Write a page; `|` parts a row into columns."""
    image = np.full((90 * len(rows) + 60, 620, 3), 245, np.uint8)
    for number, row in enumerate(rows):
        for column, words in enumerate(row.split("|")):
            at = (30 + 330 * column, 70 + 90 * number + 6 * column)
            cv2.putText(image, words, at, cv2.FONT_HERSHEY_SIMPLEX, 1.2, (25, 20, 15), 3)
    cv2.imwrite(str(path), image)
    return path


def run(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *arguments: object
) -> tuple[int, str, str]:
    from trainer.ppocr import predict

    monkeypatch.setattr(sys, "argv", ["predict", *map(str, arguments)])
    code = predict.main()
    said = capsys.readouterr()
    return code, said.out, said.err


def test_a_page_is_read_with_a_pair_into_text_json_and_a_picture(models: tuple[Path, Path], tmp_path: Path) -> None:
    """The command as the CLI starts it; the page's rows come in reading order."""
    picture = page(tmp_path / "receipt.png", "total|12.50", "thank you")
    det, rec = models
    words = ["--det", det, "--rec", rec, "--out", tmp_path / "out", "-o", "json", "--", picture]
    done = subprocess.run(
        [sys.executable, "-m", "trainer.ppocr.predict", *words],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )
    assert done.returncode == 0, done.stderr
    # Nothing that paddle or PaddleOCR logs gets between the summary and who parses it.
    assert [item["lines"] for item in json.loads(done.stdout)["images"]] == [3]
    assert "[1/1] receipt.png: 3 lines" in done.stderr
    read = json.loads((tmp_path / "out" / "receipt.json").read_text("utf-8"))
    assert (read["width"], read["height"]) == (620, 240)
    left, right, below = (np.array(line["box"]) for line in read["lines"])
    assert left[:, 0].max() < right[:, 0].min()
    assert left[:, 1].max() < below[:, 1].min()
    assert all(0 < line["score"] <= 1 and 0 < line["confidence"] <= 1 and line["text"] for line in read["lines"])
    texts = [line["text"] for line in read["lines"]]
    assert (tmp_path / "out" / "receipt.txt").read_text("utf-8") == f"{texts[0]} {texts[1]}\n{texts[2]}\n"
    with Image.open(tmp_path / "out" / "receipt.png") as drawn:
        assert drawn.width > 2 * 620
        assert drawn.height >= 240


def test_a_detector_alone_gives_boxes(
    models: tuple[Path, Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    picture = page(tmp_path / "a.png", "one", "two")
    code, out, _ = run(capsys, monkeypatch, "--det", models[0], "--out", tmp_path / "out", "-o", "json", picture)
    assert code == ExitCode.DONE
    (facts,) = json.loads(out)["images"]
    assert facts["lines"] == 2
    corners = (tmp_path / "out" / "a.txt").read_text("utf-8").splitlines()
    assert [len(line.split(",")) for line in corners] == [8, 8]
    lines = json.loads((tmp_path / "out" / "a.json").read_text("utf-8"))["lines"]
    assert [line["text"] for line in lines] == [None, None]


def test_a_recogniser_alone_reads_each_image_as_one_line(
    models: tuple[Path, Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A folder is read in the order of names; what is no image by its suffix is left alone."""
    for name in ("b.png", "a.png"):
        page(tmp_path / name, "one")
    (tmp_path / "notes.txt").write_text("not an image", "utf-8")
    code, out, _ = run(capsys, monkeypatch, "--rec", models[1], "--out", tmp_path / "out", "-o", "json", tmp_path)
    assert code == ExitCode.DONE
    read = json.loads(out)["images"]
    assert [(Path(item["image"]).name, item["lines"]) for item in read] == [("a.png", 1), ("b.png", 1)]
    assert (tmp_path / "out" / "a.txt").read_text("utf-8").replace(" ", "").strip().isdigit()


def test_bad_images_are_named_and_counted_and_the_others_read(
    models: tuple[Path, Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Only when nothing at all could be read does the command fail, with the dataset's code."""
    good, bad, gone = page(tmp_path / "good.png", "one"), tmp_path / "bad.jpg", tmp_path / "gone.jpg"
    bad.write_bytes(b"\xff\xd8 cut")
    options = ["--det", models[0], "--out", tmp_path / "out"]
    code, out, err = run(capsys, monkeypatch, *options, good, bad, gone)
    assert code == ExitCode.DONE
    assert "good.png: 1 line, confidence" in out
    assert "1 page, 1 line," in out
    assert "2 could not be read" in out
    assert "bad.jpg" in err
    assert "gone.jpg" in err
    code, out, _ = run(capsys, monkeypatch, *options, bad)
    assert code == ExitCode.DATASET
    (tmp_path / "empty").mkdir()
    code, _, err = run(capsys, monkeypatch, *options, tmp_path / "empty")
    assert code == ExitCode.DATASET
    assert "has no image" in err


def test_an_image_that_kills_its_decoder_is_named_and_the_others_read(
    models: tuple[Path, Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    worker_that("if raw.endswith(b'KILL'): os.kill(os.getpid(), signal.SIGSEGV)", monkeypatch)
    good, bad = page(tmp_path / "good.png", "one"), page(tmp_path / "bad.png", "two")
    bad.write_bytes(bad.read_bytes() + b"KILL")
    options = ["--det", models[0], "--out", tmp_path / "out"]
    code, out, err = run(capsys, monkeypatch, *options, bad, good)
    assert code == ExitCode.DONE
    assert "good.png: 1 line, confidence" in out
    assert f"[1/2] '{bad}': the image kills the process that decodes it (SIGSEGV)." in err
    assert run(capsys, monkeypatch, *options, bad)[0] == ExitCode.DATASET


def test_an_image_of_another_format_is_named(
    models: tuple[Path, Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    named = tmp_path / "page.png"
    named.write_bytes(cv2.imencode(".jp2", np.zeros((40, 60, 3), np.uint8))[1].tobytes())
    code, _, err = run(capsys, monkeypatch, "--det", models[0], "--out", tmp_path / "out", named)
    assert code == ExitCode.DATASET
    assert f"'{named}': the file is a JPEG 2000 image" in err


OLD = """
import sys, paddle
from paddle.pir_utils import OldIrGuard
with OldIrGuard():
    paddle.enable_static()
    main, start = paddle.static.Program(), paddle.static.Program()
    with paddle.static.program_guard(main, start):
        x = paddle.static.data("x", [-1, 3, -1, -1], "float32")
        y = paddle.static.nn.conv2d(x, 1, 3, padding=1, act="sigmoid")
        executor = paddle.static.Executor(paddle.CPUPlace())
        executor.run(start)
        paddle.static.save_inference_model(sys.argv[1], [x], [y], executor, program=main)
"""
"""Exports a network as Paddle 2 did."""


def test_a_model_in_the_form_before_paddle_3_is_read(
    models: tuple[Path, Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Published models of PaddleOCR from before 2025 have an inference.pdmodel."""
    old = tmp_path / "old"
    old.mkdir()
    subprocess.run([sys.executable, "-c", OLD, str(old / "inference")], check=True)
    options = ["--det", old, "--out", tmp_path / "out"]
    code, _, err = run(capsys, monkeypatch, *options, page(tmp_path / "a.png", "one"))
    assert code != ExitCode.DONE
    assert "inference.yml' does not exist" in err
    shutil.copy(models[0] / "inference.yml", old)
    code, out, _ = run(capsys, monkeypatch, *options, tmp_path / "a.png")
    assert code == ExitCode.DONE
    assert "1 page, " in out


def pdf(path: Path, *pages: Path) -> Path:
    """Write a PDF of pictures."""
    first, *others = (Image.open(page).convert("RGB") for page in pages)
    first.save(path, "PDF", append_images=others, save_all=True, resolution=72)
    return path


def test_all_pages_of_a_tiff_and_of_a_pdf_are_read(
    models: tuple[Path, Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pages = [page(tmp_path / f"{n}.png", *["words"] * n) for n in (1, 2, 3)]
    first, *others = (Image.open(each) for each in pages)
    first.save(tmp_path / "scan.tif", append_images=others, save_all=True)
    options = ["--det", models[0], "--out", tmp_path / "out", "-o", "json"]
    code, out, err = run(capsys, monkeypatch, *options, tmp_path / "scan.tif", pdf(tmp_path / "doc.pdf", *pages))
    assert code == ExitCode.DONE
    read = [
        (Path(item["image"]).name, item["page"], item["pages"], item["lines"]) for item in json.loads(out)["images"]
    ]
    assert read == [(name, n, 3, n) for name in ("scan.tif", "doc.pdf") for n in (1, 2, 3)]
    assert "[2/2] doc.pdf, page 3/3: 3 lines" in err
    made = sorted(path.name for path in (tmp_path / "out").glob("*.txt"))
    assert made == [f"{name}.page-{n}.txt" for name in ("doc", "scan") for n in (1, 2, 3)]


def test_pages_after_a_broken_first_one_are_read(
    models: tuple[Path, Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    first = Image.new("F", (60, 40))
    first.save(tmp_path / "scan.tif", append_images=[Image.open(page(tmp_path / "a.png", "one"))], save_all=True)
    options = ["--det", models[0], "--out", tmp_path / "out", "-o", "json", tmp_path / "scan.tif"]
    code, out, err = run(capsys, monkeypatch, *options)
    assert code == ExitCode.DONE
    assert [(item["page"], item["pages"]) for item in json.loads(out)["images"]] == [(2, 2)]
    assert f"Page 1 of '{tmp_path / 'scan.tif'}': " in err


def test_a_folder_is_read_by_content_and_what_is_left_out_is_named(
    models: tuple[Path, Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder = tmp_path / "scans"
    (folder / ".ipynb_checkpoints").mkdir(parents=True)
    page(tmp_path / "a.jpg", "one").rename(folder / "a.jfif")
    pdf(folder / "b", page(tmp_path / "b.png", "one"))
    page(tmp_path / "c.png", "one").rename(folder / ".hidden.png")
    (folder / "d.jp2").write_bytes(b"\xff\x4f\xff\x51")
    (folder / "e.png").write_bytes(b"hello")
    os.mkfifo(folder / "f.png")
    page(tmp_path / "g.png", "one")
    (folder / "older").mkdir()
    (tmp_path / "g.png").rename(folder / "older" / "g.png")
    code, out, err = run(capsys, monkeypatch, "--det", models[0], "--out", tmp_path / "out", "-o", "json", folder)
    assert code == ExitCode.DONE
    facts = json.loads(out)
    assert [Path(item["image"]).name for item in facts["images"]] == ["a.jfif", "b"]
    assert [(Path(item["image"]).name, item["reason"][:26]) for item in facts["left_out"]] == [
        ("d.jp2", "the file is a JPEG 2000 im"),
        ("e.png", "the file is not an image; "),
        ("f.png", "it is not a regular file"),
        ("older", "it is a folder; name it to"),
    ]
    assert f"4 left out: {folder / 'd.jp2'} (the file is a JPEG 2000 image" in err


def test_no_result_replaces_an_image(
    models: tuple[Path, Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    picture = page(tmp_path / "a.png", "one")
    before = picture.read_bytes()
    (tmp_path / "link").symlink_to(tmp_path)
    code, _, err = run(capsys, monkeypatch, "--det", models[0], "--out", tmp_path / "link", picture)
    assert code == ExitCode.SPEC
    assert "link' has images that are read, and a result could replace one." in err
    assert picture.read_bytes() == before


def test_a_pdf_that_cannot_be_read_says_why(
    models: tuple[Path, Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "a.pdf").write_bytes(b"%PDF-1.4\nnothing")
    code, _, err = run(capsys, monkeypatch, "--det", models[0], "--out", tmp_path / "out", tmp_path / "a.pdf")
    assert code == ExitCode.DATASET
    assert "a.pdf': the PDF is broken." in err


def test_a_blank_page_has_no_lines_and_still_its_files(models: tuple[Path, Path], tmp_path: Path) -> None:
    from trainer.ppocr import predict

    blank = page(tmp_path / "blank.png", " ")
    facts = predict.predict(predict.Models.load(*models, device="cpu"), [blank], tmp_path / "out")
    assert facts["images"][0]["lines"] == 0
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["blank.json", "blank.png", "blank.txt"]
    assert (tmp_path / "out" / "blank.txt").read_text("utf-8") == ""


def test_a_model_of_the_other_kind_or_none_is_refused(
    models: tuple[Path, Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    picture = page(tmp_path / "a.png", "one")
    code, _, err = run(capsys, monkeypatch, "--det", models[1], "--out", tmp_path / "out", picture)
    assert code == ExitCode.SPEC
    assert "is decoded by 'CTCLabelDecode'" in err
    code, _, err = run(capsys, monkeypatch, "--rec", tmp_path, "--out", tmp_path / "out", picture)
    assert code == ExitCode.SPEC
    assert "inference.yml' does not exist" in err
    with pytest.raises(SystemExit) as ended:
        run(capsys, monkeypatch, "--out", tmp_path / "out", picture)
    assert ended.value.code == ExitCode.USAGE


def test_results_of_images_with_one_name_do_not_meet() -> None:
    from trainer.ppocr.predict import names_for

    paths = [Path(path) for path in ("a/1.jpg", "a/1.png", "b/1.jpg", "2.jpg")]
    assert names_for(paths) == ["1.jpg", "1.png", "1.jpg-2", "2"]


def test_rows_are_read_from_top_to_bottom_and_from_left_to_right() -> None:
    """Boxes of one row may stand a little higher or lower; a slope adds up, from neighbour to neighbour."""
    from trainer.ppocr.predict import rows_of

    def box(x: int, y: int) -> list[list[int]]:
        return [[x, y], [x + 80, y], [x + 80, y + 20], [x, y + 20]]

    boxes = np.array([box(300, 52), box(100, 100), box(0, 50), box(200, 46), box(0, 96)])
    assert rows_of(boxes) == [[2, 3, 0], [4, 1]]
    assert rows_of(np.zeros((0, 4, 2))) == []


def test_a_picture_says_what_its_font_lacks() -> None:
    assert drawing.lacking("plain 123 %&") == ""
    assert drawing.lacking("合计 12") == "合计"
