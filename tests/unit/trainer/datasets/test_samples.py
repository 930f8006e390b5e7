"""What one labelled image gives: a page, a line, or the lines of a page."""

from pathlib import Path

import numpy as np
import pytest

from trainer.datasets import samples
from trainer.datasets.labels import Entry, Region

IMAGE = np.zeros((30, 40, 3), np.uint8)
SQUARE = ((2.0, 2.0), (20.0, 2.0), (20.0, 12.0), (2.0, 12.0))
CROSSED = (SQUARE[0], SQUARE[2], SQUARE[1], SQUARE[3])


def region(text: str, points: tuple[tuple[float, float], ...] = SQUARE, *, difficult: bool = False) -> Region:
    return Region(text=text, points=points, difficult=difficult)


def entry(*regions: Region, text: str | None = None) -> Entry:
    return Entry(image="a.jpg", source="Label.txt:3", text=text, regions=regions, split="train", group="a.jpg")


def test_a_page_keeps_its_regions_and_counts_those_that_are_masked() -> None:
    look = samples.page(entry(region("A"), region("###"), region("B", difficult=True)), Path("a.jpg"), IMAGE, "d" * 64)
    (page,) = look.candidates
    assert (page.width, page.height, page.group, page.split, page.digest) == (40, 30, "a.jpg", "train", "d" * 64)
    assert page.label.count("###") == 2
    assert (look.ignored, look.problems) == (2, ())


@pytest.mark.parametrize(
    ("spoilt", "words"),
    [
        (region("B", SQUARE[:2]), "has 2 points"),
        (region("B", CROSSED), "crosses itself"),
        (region("B", tuple((x + 100, y) for x, y in SQUARE)), "outside the image"),
    ],
    ids=["no polygon", "crossed", "outside"],
)
def test_one_flawed_region_spoils_a_page_and_is_named(spoilt: Region, words: str) -> None:
    """Text that is not marked would be learnt as background."""
    look = samples.page(entry(region("A"), spoilt), Path("a.jpg"), IMAGE, "d")
    (problem,) = look.problems
    assert look.candidates == ()
    assert words in problem.reason
    assert "region 2" in problem.detail


def test_a_masked_region_may_cross_itself_and_lie_outside() -> None:
    far = tuple((x + 100, y) for x, y in CROSSED)
    assert samples.page(entry(region("A"), region("###", far)), Path("a.jpg"), IMAGE, "d").problems == ()


def test_a_page_without_regions_is_a_problem() -> None:
    assert len(samples.page(entry(), Path("a.jpg"), IMAGE, "d").problems) == 1


def test_a_line_is_taken_whole() -> None:
    (line,) = samples.line(entry(text="ONE"), Path("a.png"), IMAGE, "d").candidates
    assert (line.label, line.image, line.width, line.height) == ("ONE", Path("a.png"), 40, 30)


def test_lines_of_a_page_are_numbered_by_region_and_unread_ones_left_out() -> None:
    look = samples.lines(entry(region("A"), region(""), region("B")), Path("a.jpg"), IMAGE, "d", crops=None)
    assert [(c.label, c.source) for c in look.candidates] == [("A", "Label.txt:3#1"), ("B", "Label.txt:3#3")]
    assert look.ignored == 1


def test_a_line_that_cannot_be_cut_out_costs_no_other(tmp_path: Path) -> None:
    far = tuple((x + 100, y) for x, y in SQUARE)
    crops = samples.Crops(tmp_path, samples.by_content)
    look = samples.lines(entry(region("A"), region("B", far)), Path("a.jpg"), IMAGE, "d", crops=crops)
    assert [c.label for c in look.candidates] == ["A"]
    assert [problem.source for problem in look.problems] == ["Label.txt:3#2"]
    (written,) = tmp_path.rglob("*.png")
    assert look.candidates[0].image == written
