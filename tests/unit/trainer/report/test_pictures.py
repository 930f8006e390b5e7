"""Which samples a report shows, and how."""

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.unit.trainer.report.made import line, rec_row, square, work_of, write
from trainer.evaluation.analysis import Comparison
from trainer.report import pictures


def black(size: tuple[int, int]) -> Any:
    """The pixels of an image of a width and a height."""
    return np.zeros((size[1], size[0], 3), np.uint8)


def test_wrong_lines_come_first_and_their_wrong_characters_are_marked(tmp_path: Path) -> None:
    rows = [rec_row(f"right{n}", f"right{n}") for n in range(40)] + [rec_row("12.50", "12.58", 0.4)]
    html, markdown = write(work_of(tmp_path, "rec", rows), "rec")
    assert "12.5<mark>8</mark>" in html
    first = next(row for row in markdown.splitlines() if "line-01.png" in row)
    assert first == "| ![](line-01.png) | 12.50 | 12.58 | 0.400 | wrong |"


def test_what_the_text_lacks_is_marked_in_the_label(tmp_path: Path) -> None:
    html, _ = write(work_of(tmp_path, "rec", [rec_row("12.50", "1250")]), "rec")
    assert "12<mark>.</mark>50" in html


def test_half_of_what_is_shown_is_the_worst_and_half_is_spread_over_the_rest() -> None:
    lines = [pictures.Line(rec_row(str(n), str(n), score=n / 100), Comparison()) for n in range(100)]
    random.Random(1).shuffle(lines)
    worst, others = ([round(line.row["score"] * 100) for line in part] for part in pictures.choose(lines, 12))
    assert worst == [0, 1, 2, 3, 4, 5]
    assert others[0] < 20
    assert others[-1] > 85
    assert len(set(others)) == 6


def test_few_samples_are_shown_once_each() -> None:
    lines = [pictures.Line(rec_row(str(n), str(n)), Comparison()) for n in range(9)]
    worst, others = pictures.choose(lines, 12)
    assert len(worst) == 6
    assert {line.row["label"] for line in worst + others} == set("012345678")


def test_a_page_says_what_was_found_missed_and_false_and_shows_it(tmp_path: Path) -> None:
    labels = [line(square(20, 20)), line(square(60, 20)), line(square(100, 20), "###")]
    boxes = [square(21, 21), square(150, 60), square(101, 21)]
    row = {"image": "x.png", "source": "Label.txt:1", "label": labels, "boxes": boxes, "scores": [0.9, 0.8, 0.7]}
    work = work_of(tmp_path, "det", [row | {"scale": [1.0, 1.0]}])
    assert "1 found, 1 missed, 1 false" in write(work, "det")[0]
    with Image.open(work.report / "page-01.jpg") as picture:
        colours = {colour for _, colour in picture.convert("RGB").getcolors(1 << 20) or []}
    for kind in ("found", "missed", "false", "ignored"):
        wanted = pictures.COLOURS[kind]
        assert any(sum(abs(a - b) for a, b in zip(c, wanted, strict=True)) < 40 for c in colours), kind


def test_a_page_without_boxes_or_labels_is_still_a_picture(tmp_path: Path) -> None:
    row = {"image": "x.png", "source": "Label.txt:1", "label": [], "boxes": [], "scores": [], "scale": [1, 1]}
    work = work_of(tmp_path, "det", [row])
    assert "0 found, 0 missed, 0 false" in write(work, "det")[0]
    assert (work.report / "page-01.jpg").stat().st_size


@pytest.mark.parametrize(
    ("page", "picture"),
    [((200, 100), (500, 250)), ((2400, 600), (1200, 300)), ((6000, 1), (1200, 1)), ((1, 6000), (1, 1200))],
)
def test_a_page_is_enlarged_or_shrunk_until_it_is_well_seen(
    tmp_path: Path, page: tuple[int, int], picture: tuple[int, int]
) -> None:
    row = {"image": "x.png", "label": [], "boxes": [], "scores": []}
    pictures.draw_page(pictures.Page(row), black(page), to=tmp_path / "out.jpg")
    with Image.open(tmp_path / "out.jpg") as made:
        assert made.size == picture


def test_a_page_is_shown_as_far_as_it_is_written_on(tmp_path: Path) -> None:
    row = {"image": "x.png", "label": [line(square(300, 200))], "boxes": [square(340, 260)], "scores": [0.5]}
    pictures.draw_page(pictures.Page(row), black((1000, 500)), to=tmp_path / "out.jpg")
    with Image.open(tmp_path / "out.jpg") as made:
        # 60 by 80 pixels, a margin of 4 % of the page's longer side on each side, and the last pixel.
        assert made.size == (round(141 * 2.5), round(161 * 2.5))


@pytest.mark.parametrize(("place", "size"), [((500, 20), (2, 72)), ((20, 500), (72, 2))])
def test_a_page_whose_only_box_lies_outside_is_still_a_picture(
    tmp_path: Path, place: tuple[int, int], size: tuple[int, int]
) -> None:
    """One pixel wide or high, enlarged as any other."""
    row = {"image": "x.png", "label": [], "boxes": [square(*place)], "scores": [0.5]}
    pictures.draw_page(pictures.Page(row), black((100, 100)), to=tmp_path / "out.jpg")
    with Image.open(tmp_path / "out.jpg") as made:
        assert made.size == size
