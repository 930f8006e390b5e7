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


@pytest.mark.parametrize(
    ("low", "high", "marks"),
    [
        (0, 5, [0, 1, 2, 3, 4, 5]),
        (0, 1, [0, 0.2, 0.4, 0.6, 0.8, 1]),
        (-3, 20, [-5, 0, 5, 10, 15, 20]),
        (0, 40, [0, 10, 20, 30, 40]),
        (0, 0, [0, 2e-10]),
        (0, 1e-12, [0, 2e-10]),
    ],
)
def test_ticks_are_round_numbers(low: float, high: float, marks: list[float]) -> None:
    assert ticks(low, high) == pytest.approx(marks)


@pytest.mark.parametrize(
    ("low", "high", "marks"), [(1, 100, [1, 10, 100]), (0.2, 3, [0.1, 1, 10]), (10, 10, [10, 100])]
)
def test_decades_are_as_few_as_enclose_the_values(low: float, high: float, marks: list[float]) -> None:
    assert decades(low, high) == pytest.approx(marks)


@given(st.floats(1e-6, 1e6), st.floats(1, 1e6))
def test_decades_enclose_the_values(low: float, factor: float) -> None:
    marks = decades(low, low * factor)
    assert marks[0] <= low * 1.000001
    assert marks[-1] >= low * factor * 0.999999
    assert len(marks) >= 2


@given(st.lists(st.tuples(st.floats(0, 1e6), st.floats(-1e3, 1e3)), min_size=1, max_size=500), st.integers(1, 100))
def test_thinning_keeps_within_the_number_and_the_values(points: list[tuple[float, float]], most: int) -> None:
    fewer = thinned(points, most)
    assert len(fewer) <= most
    low, high = min(y for _, y in points), max(y for _, y in points)
    assert all(low - 1e-6 <= y <= high + 1e-6 for _, y in fewer)


@pytest.mark.parametrize(
    ("losses", "title"),
    [
        ([30, 1], "loss"),
        ([31, 1], "loss, on a logarithmic scale"),
        ([31, 0], "loss"),
        ([31, -1], "loss"),
        ([float("nan"), 2, float("inf"), 1], "loss"),
    ],
)
def test_a_loss_of_a_wide_range_is_drawn_on_a_logarithmic_scale(losses: list[float], title: str) -> None:
    history = {"loss": [{"step": step, "loss": loss} for step, loss in enumerate(losses, 1)]}
    assert f">{title}</text>" in curve(history, main_metric="acc")


@pytest.mark.parametrize(("steps", "lines"), [(120, [120]), (121, [121, 41]), (1000, [250, 59])])
def test_a_long_loss_is_drawn_faintly_behind_its_averages(steps: int, lines: list[int]) -> None:
    history = {"loss": [{"step": step, "loss": 1} for step in range(1, steps + 1)]}
    paths = re.findall(r'class="(line|line raw)" style="[^"]*" d="([^"]*)"', curve(history, main_metric="acc"))
    assert [len(path.split("L")) for _, path in paths] == lines
    assert [kind for kind, _ in paths] == ["line raw", "line"][-len(lines) :]
