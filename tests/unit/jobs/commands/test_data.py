"""`ocrfleet data`: check, split and crop."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


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


@pytest.mark.parametrize("limits", ["1", "a:b", "0:2", "-1:0", "nan:0"])
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
    assert (ran.code, ran.out) == (0, "divided/train.txt: 6 lines\n")
    written = json.loads(ocrfleet("data", "crop", pages, "--out", "lines", "-o", "json").out)
    assert written["labelFiles"] == {"rec_gt.txt": 12}
    assert (tmp_path / "lines" / "rec_gt.txt").is_file()
    assert ocrfleet("data", "check", "lines").out.splitlines()[0].endswith("checked for rec.")


def test_a_dataset_that_is_not_there(ocrfleet: Callable[..., Any]) -> None:
    ran = ocrfleet("data", "check", "nowhere")
    assert (ran.code, ran.err) == (40, "error: 'nowhere' is not a folder on this machine.\n")
