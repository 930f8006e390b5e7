"""`ocrfleet data`: check, split and crop."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image


def test_data_check_lists_what_is_refused(pages: Path, ocrfleet: Callable[..., Any]) -> None:
    ran = ocrfleet("data", "check", pages)
    assert ran.code == 0
    assert "Usable pages: 6." in ran.out
    (pages / "3.png").unlink()
    ran = ocrfleet("data", "check", pages)
    assert ran.code == 41
    assert "refused  Label.txt:4: " in ran.out
    ran = ocrfleet("data", "check", pages, "--max-refused", "1:1")
    assert (ran.code, ran.out.splitlines()[-1]) == (0, "A run would use it, without the 1 refused samples.")


def test_data_check_says_that_nothing_could_be_learnt(pages: Path, ocrfleet: Callable[..., Any]) -> None:
    labels = pages / "Label.txt"
    labels.write_text(re.sub('"transcription": "[^"]*"', '"transcription": "###"', labels.read_text("utf-8")), "utf-8")
    ran = ocrfleet("data", "check", pages)
    assert ran.code == 41
    assert "Usable pages: 6. Ignored: 12." in ran.out
    assert ran.out.splitlines()[-1].startswith("A run would end: Label.txt:1: all regions of the page are ignored")


def test_data_check_of_pages_in_words(pages: Path, ocrfleet: Callable[..., Any]) -> None:
    ran = ocrfleet("data", "check", pages)
    digest = json.loads(ocrfleet("data", "check", pages, "-o", "json").out)["digest"]
    assert ran.out.splitlines() == [
        f"{pages}: PPOCRLabel export, checked for det.",
        "Images: 6. Usable pages: 6. Ignored: 0.",
        "Splits: train 4, eval 1, test 1.",
        f"Digest: {digest}",
        "No problems found.",
    ]
    assert ran.err == "read 6/6 images\n"


@pytest.fixture
def lines(pages: Path, ocrfleet: Callable[..., Any], tmp_path: Path) -> Path:
    """The lines of the pages, and one whose image is missing."""
    ran = ocrfleet("data", "crop", pages, "--out", "lines")
    assert (ran.code, ran.out, ran.err) == (0, "lines/rec_gt.txt: 12 lines\n", "crop 6/6 pages\n")
    with (tmp_path / "lines" / "rec_gt.txt").open("a") as labels:
        labels.write("crop_img/none.jpg\tC\n")
    return tmp_path / "lines"


def test_data_check_of_lines_in_words_and_as_data(lines: Path, ocrfleet: Callable[..., Any]) -> None:
    ran = ocrfleet("data", "check", lines, "--seed", "7")
    shown = json.loads(ocrfleet("data", "check", lines, "--seed", "7", "-o", "json").out)
    fatal = (
        "rec_gt.txt:13: the image is missing: 'crop_img/none.jpg'. 1 of 5 training samples are refused, but "
        "run.data.maxRefused.train allows 1 %. Fix them (`ocrfleet data check` lists all), remove their lines, or "
        "raise the limit."
    )
    assert ran.out.splitlines() == [
        f"{lines}: PaddleOCR rec label files, checked for rec.",
        "Images: 13. Usable lines: 12. Ignored: 0.",
        "Splits: train 4, eval 6, test 2.",
        "Characters: 8. Longest label: 2 characters.",
        "012345AB",
        f"Digest: {shown['digest']}",
        "refused  rec_gt.txt:13: the image is missing: 'crop_img/none.jpg'",
        f"A run would end: {fatal}",
    ]
    assert len(shown.pop("digest")) == 64
    assert shown == {
        "task": "rec",
        "form": "PaddleOCR rec label files",
        "images": 13,
        "turned": 0,
        "laidOnWhite": 0,
        "samples": 12,
        "splits": {"train": 4, "eval": 6, "test": 2},
        "ignored": 0,
        "characters": "012345AB",
        "maxTextLength": 2,
        "problems": [
            {"source": "rec_gt.txt:13", "reason": "the image is missing: 'crop_img/none.jpg'", "about": "image"}
        ],
        "fatal": fatal,
    }


def test_data_check_counts_images_that_are_turned_or_laid_on_white(pages: Path, ocrfleet: Callable[..., Any]) -> None:
    exif = Image.Exif()
    exif[0x112] = 3
    with Image.open(pages / "1.png") as page:
        page.save(pages / "1.png", exif=exif)
    with Image.open(pages / "2.png") as page:
        page.putalpha(128)
        page.save(pages / "2.png", exif=exif)
    ran = ocrfleet("data", "check", pages)
    assert ran.out.splitlines()[2:4] == [
        "Turned as their EXIF orientation says: 2 images.",
        "Partly transparent and laid on white: 1 images.",
    ]
    shown = json.loads(ocrfleet("data", "check", pages, "-o", "json").out)
    assert (shown["turned"], shown["laidOnWhite"]) == (2, 1)


def test_data_check_refuses_an_image_of_too_many_pixels(pages: Path, ocrfleet: Callable[..., Any]) -> None:
    with Image.open(pages / "1.png") as page:
        pixels = page.width * page.height
        size = f"({page.width + 1} × {page.height})"
        page.crop((0, 0, page.width + 1, page.height)).save(pages / "1.png")
    ran = ocrfleet("data", "check", pages, "--max-pixels", pixels)
    assert [line for line in ran.out.splitlines() if line.startswith("refused")] == [
        f"refused  Label.txt:2: the image has more than {pixels:,} pixels, the limit (run.data.maxPixels): '1.png' "
        f"{size}"
    ]
    assert ran.code == 41
    assert ocrfleet("data", "check", pages).code == 0


def test_data_check_refuses_labels_outside_the_dictionary(
    lines: Path, ocrfleet: Callable[..., Any], tmp_path: Path
) -> None:
    (tmp_path / "digits.txt").write_text("".join(f"{digit}\n" for digit in range(10)))
    ran = ocrfleet("data", "check", lines, "--dictionary", tmp_path / "digits.txt", "--max-refused", "1:1")
    refused = [line for line in ran.out.splitlines() if line.startswith("refused")]
    assert len(refused) == 13
    assert ran.code == 41


@pytest.mark.parametrize("limits", ["0:0", "1:1", "0:1", "1:0"])
def test_limits_may_be_none_or_all(pages: Path, ocrfleet: Callable[..., Any], limits: str) -> None:
    assert ocrfleet("data", "check", pages, "--max-refused", limits).code == 0


@pytest.mark.parametrize("limits", ["1", "a:b", "0:2", "2:0", "-1:0", "0:-1", "nan:0", "0:1:0"])
def test_limits_that_are_no_shares_are_a_wrong_command_line(
    pages: Path, ocrfleet: Callable[..., Any], limits: str
) -> None:
    ran = ocrfleet("data", "check", pages, f"--max-refused={limits}")
    assert ran.code == 2
    assert "is not two shares from 0 to 1" in ran.err


def test_data_check_takes_a_dataset_that_is_for_one_part_alone(pages: Path, ocrfleet: Callable[..., Any]) -> None:
    assert ocrfleet("data", "check", pages, "--ratio", "1:0:0").code == 41
    ran = ocrfleet("data", "check", pages, "--part", "train")
    assert (ran.code, ran.out.splitlines()[2]) == (0, "Splits: train 6, eval 0, test 0.")
    assert "Splits: train 0, eval 6, test 0." in ocrfleet("data", "check", pages, "--part", "eval").out


def test_data_check_as_json_has_the_digest(pages: Path, job: Path, ocrfleet: Callable[..., Any]) -> None:
    digest = json.loads(ocrfleet("data", "check", f"file://{pages}", "-o", "json").out)["digest"]
    assert ocrfleet("check", job, "--set", f"run.data.digest={digest}").code == 0


def test_data_split_and_crop(pages: Path, ocrfleet: Callable[..., Any], tmp_path: Path) -> None:
    ran = ocrfleet("data", "split", pages, "--ratio", "1:0:0", "--out", "divided")
    assert (ran.code, ran.out, ran.err) == (0, "divided/train.txt: 6 lines\n", "")
    written = json.loads(ocrfleet("data", "crop", pages, "--out", "lines", "-o", "json").out)
    assert written["labelFiles"] == {"rec_gt.txt": 12}
    assert (tmp_path / "lines" / "rec_gt.txt").is_file()
    assert ocrfleet("data", "check", "lines").out.splitlines()[0].endswith("checked for rec.")


def test_data_split_divides_as_its_seed_says(pages: Path, ocrfleet: Callable[..., Any], tmp_path: Path) -> None:
    def divided(*words: str) -> dict[str, str]:
        out = tmp_path / f"divided{'-'.join(words)}"
        ran = ocrfleet("data", "split", pages, "--out", out, *words, "-o", "json")
        texts = {path.name: path.read_text("utf-8") for path in out.glob("*.txt")}
        lines = {name: len(text.splitlines()) for name, text in texts.items()}
        assert (ran.code, json.loads(ran.out)) == (0, {"root": str(out), "labelFiles": lines})
        return texts

    usual = divided()
    assert usual == divided("--seed", "42") == divided("--ratio", "6:2:2")
    assert usual != divided("--seed", "7")


def test_data_crop_says_what_it_skips(pages: Path, ocrfleet: Callable[..., Any]) -> None:
    (pages / "3.png").write_bytes(b"no image")
    ran = ocrfleet("data", "crop", pages, "--out", "lines")
    assert (ran.code, ran.out) == (0, "lines/rec_gt.txt: 10 lines\n")
    assert ran.err.splitlines()[1:] == [
        f"skipped  Label.txt:4#{line}: the file is not an image; an image must be JPEG, PNG, BMP, TIFF or WebP: '3.png'"
        for line in (1, 2)
    ]


def test_a_dataset_that_is_not_there(ocrfleet: Callable[..., Any]) -> None:
    ran = ocrfleet("data", "check", "nowhere")
    assert (ran.code, ran.err) == (40, "error: 'nowhere' is not a folder on this machine.\n")
