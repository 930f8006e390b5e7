"""Which labelled lines were found, and by which boxes."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from shapely.geometry import Polygon

from trainer.evaluation.matching import match


def box(left: float, width: float = 10, *, top: float = 0, height: float = 10) -> list[list[float]]:
    return [[left, top], [left + width, top], [left + width, top + height], [left, top + height]]


def row(labelled: dict[str, list[list[float]]], *boxes: list[list[float]]) -> dict[str, Any]:
    return {"label": [{"transcription": k, "points": v} for k, v in labelled.items()], "boxes": list(boxes)}


def test_a_line_is_found_by_a_box_that_shares_more_than_half_with_it() -> None:
    """Of what both cover together: 10 × 10, moved by 3, shares 70 of 130; moved by 4, 60 of 140."""
    assert match(row({"A": box(0)}, box(3))).pairs == {0: 0}
    far = match(row({"A": box(0)}, box(4)))
    assert (far.pairs, far.missed, far.false) == ({}, [0], [0])
    half = match(row({"A": box(0)}, box(0, 5)))
    assert half.pairs == {}, "exactly a half is not more than that"


def test_each_line_has_one_box_and_each_box_one_line() -> None:
    twice = match(row({"A": box(0)}, box(0), box(1)))
    assert (twice.pairs, twice.false) == ({0: 0}, [1])
    shared = match(row({"A": box(0), "B": box(1)}, box(0)))
    assert (shared.pairs, shared.missed) == ({0: 0}, [1])


BOXES = st.lists(st.builds(box, st.integers(0, 9), st.integers(5, 12), top=st.integers(0, 20)), max_size=14)


@settings(max_examples=50, deadline=None)
@given(lines=BOXES, boxes=BOXES)
def test_pairs_are_those_of_the_evaluators_two_loops(
    lines: list[list[list[float]]], boxes: list[list[list[float]]]
) -> None:
    """PaddleOCR compares every line with every box in order, and takes the first that is free and near enough."""
    pairs: dict[int, int] = {}
    for number, line in enumerate(lines):
        for place, one in enumerate(boxes):
            outlines = Polygon(line), Polygon(one)
            shared = outlines[0].intersection(outlines[1]).area / outlines[0].union(outlines[1]).area
            if shared > 0.5 and number not in pairs and place not in pairs.values():
                pairs[number] = place
    assert match(row({f"line {number}": line for number, line in enumerate(lines)}, *boxes)).pairs == pairs


@pytest.mark.parametrize("text", ["*", "###"])
def test_what_is_marked_may_be_found_or_missed(text: str) -> None:
    assert match(row({text: box(0)})).missed == []
    found = match(row({text: box(0, 100), "B": box(200)}, box(10), box(200)))
    assert (found.pairs, found.false, found.ignored) == ({1: 1}, [], [0])
    outside = match(row({text: box(0)}, box(8)))
    assert outside.false == [0], "less than half of it lies within"
    half = match(row({text: box(0)}, box(5)))
    assert half.false == [0], "exactly a half is not more than that"


def test_what_crosses_itself_does_not_count() -> None:
    crossed = [[0, 0], [10, 10], [10, 0], [0, 10]]
    found = match(row({"A": crossed}, crossed))
    assert (found.pairs, found.missed, found.false, found.ignored) == ({}, [], [], [0])


def test_the_hmean_of_a_page_is_that_of_its_lines_and_boxes() -> None:
    assert match(row({})).hmean == 1
    assert match(row({}, box(0))).hmean == 0
    assert match(row({"A": box(0), "B": box(50)}, box(0), box(80))).hmean == pytest.approx(0.5)
