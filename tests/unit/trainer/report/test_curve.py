"""The curve of a training: an SVG that stays inside its frame."""

import random
import re
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.trainer.report.made import HISTORY
from trainer.report.curve import curve, decades, thinned, ticks


def test_the_curve_is_a_picture_with_both_panels_and_the_best_point() -> None:
    root = ElementTree.fromstring(curve(HISTORY, main_metric="acc"))
    words = [element.text for element in root.iter() if element.tag.endswith("text")]
    assert {"loss, on a logarithmic scale", "evaluation", "step", "acc", "norm_edit_dis", "best: 0.5000"} <= set(words)


@pytest.mark.parametrize("history", [{}, {"loss": [{"step": 1, "loss": 0.0}], "eval": []}, {"loss": [], "eval": []}])
def test_a_training_of_no_history_still_has_a_curve(history: dict[str, Any]) -> None:
    assert ElementTree.fromstring(curve(history, main_metric="acc")).tag.endswith("svg")


def test_a_curve_stays_inside_its_picture_however_long_the_training() -> None:
    """Half a million steps are drawn as a few hundred points."""
    losses = [{"step": n, "loss": 5.0 + random.Random(n).random()} for n in range(1, 20001)]
    picture = curve({"loss": losses, "eval": []}, main_metric="acc")
    assert len(picture) < 20_000
    box = [float(v) for v in re.search(r'viewBox="0 0 (\d+) (\d+)"', picture).groups()]  # type: ignore[union-attr]
    for path in re.findall(r'd="M([\d. L]+)"', picture):
        for x, y in (pair.split() for pair in path.split("L")):
            assert 0 <= float(x) <= box[0]
            assert 0 <= float(y) <= box[1]


@given(st.floats(-1e6, 1e6), st.floats(1e-3, 1e6), st.integers(2, 8))
def test_ticks_are_few_and_enclose_the_values(low: float, span: float, count: int) -> None:
    marks = ticks(low, low + span, count=count)
    slack = span * 1e-6
    assert marks[0] <= low + slack
    assert marks[-1] >= low + span - slack
    assert 2 <= len(marks) <= count + 3


@given(st.floats(1e-6, 1e6), st.floats(1, 1e6))
def test_decades_enclose_the_values(low: float, factor: float) -> None:
    marks = decades(low, low * factor)
    assert marks[0] <= low * 1.000001
    assert marks[-1] >= low * factor * 0.999999
    assert len(marks) >= 2


@given(st.lists(st.tuples(st.floats(0, 1e6), st.floats(-1e3, 1e3)), max_size=500), st.integers(1, 100))
def test_thinning_keeps_within_the_number_and_the_values(points: list[tuple[float, float]], most: int) -> None:
    fewer = thinned(points, most)
    assert len(fewer) <= most
    if points:
        low, high = min(y for _, y in points), max(y for _, y in points)
        assert all(low - 1e-6 <= y <= high + 1e-6 for _, y in fewer)
