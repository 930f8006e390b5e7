"""What is told beside the metrics: it adds up to them, and names what is really wrong."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trainer.evaluation import analysis, matching
from trainer.evaluation.analysis import Comparison

EXACT = Comparison(ignore_space=False)
TEXTS = st.text(alphabet="aA1- é", max_size=30)


def row(label: str, text: str, *, score: float = 0.9, source: str = "rec_gt.txt:1") -> dict[str, Any]:
    return {"image": f"{label}.png", "source": source, "label": label, "text": text, "score": score}


def box(left: float, top: float, width: float, height: float) -> list[list[float]]:
    return [[left, top], [left + width, top], [left + width, top + height], [left, top + height]]


def page(lines: list[tuple[str, list[list[float]]]], boxes: list[Any], *, image: str = "a.png") -> dict[str, Any]:
    label = [{"transcription": text, "points": points} for text, points in lines]
    return {"image": image, "source": "Label.txt:1", "label": label, "boxes": boxes, "scale": [1.0, 1.0]} | {
        "scores": [0.5] * len(boxes)
    }


@pytest.mark.paddle
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("options", [{}, {"ignore_space": False}, {"is_filter": True}], ids=str)
@settings(max_examples=50, deadline=None)
@given(pairs=st.lists(st.tuples(TEXTS, TEXTS), min_size=1))
def test_the_lengths_add_up_to_the_metrics(options: dict[str, bool], pairs: list[tuple[str, str]]) -> None:
    from trainer.ppocr.scores import score_rows

    rows = [row(label, label if len(text) % 2 else text) for label, text in pairs]
    config = {"Architecture": {"model_type": "rec"}, "Metric": {"name": "RecMetric", **options}}
    metrics = score_rows(rows, config)
    classes = analysis.analyse(rows, config)["by_length"]
    assert sum(each["lines"] for each in classes) == len(rows)
    for name in ("acc", "norm_edit_dis"):
        mean = sum(each[name] * each["lines"] for each in classes) / len(rows)
        # PaddleOCR divides by the number of lines and 1e-5.
        assert mean == pytest.approx(metrics[name], abs=2e-5)


@pytest.mark.paddle
@pytest.mark.filterwarnings("ignore")
def test_the_heights_add_up_to_the_recall() -> None:
    from trainer.ppocr.scores import score_rows

    lines = [("x" * n, box(0, 100 * n, 200, 6 * n)) for n in range(1, 9)] + [("###", box(300, 0, 50, 50))]
    rows = [page(lines, [points for _, points in lines[::2]]), page([], [box(0, 0, 9, 9)], image="b.png")]
    config = {"Architecture": {"model_type": "det"}}
    metrics, found = score_rows(rows, config), analysis.analyse(rows, config)
    for part in ("by_height", "by_length"):
        assert sum(each["lines"] for each in found[part]) == found["lines"] == 8
        assert sum(each["found"] for each in found[part]) == found["found"] == 4
    assert metrics["recall"] == found["found"] / found["lines"]
    assert metrics["precision"] == found["found"] / (found["found"] + found["false"])
    assert [page["image"] for page in found["worst"]] == ["b.png", "a.png"]


def test_lengths_are_told_in_their_classes() -> None:
    rows = [row("12345", "12345"), row("1", "2"), row("123456", "12345"), row("1" * 26, "1" * 26)]
    found = analysis.analyse_lines(rows, EXACT)["by_length"]
    assert [(each["from"], each["to"], each["lines"], each["right"], each["acc"]) for each in found] == [
        (1, 5, 2, 1, 0.5),
        (6, 10, 1, 0, 0.0),
        (26, None, 1, 1, 1.0),
    ]


def test_confusions_say_what_was_read_for_what_and_where_first() -> None:
    rows = [
        row("5050", "S0S0", source="rec_gt.txt:7"),
        row("15", "1S", source="rec_gt.txt:8"),
        row("77", "7", source="rec_gt.txt:9"),
        row("9", "93", source="rec_gt.txt:10"),
    ]
    found = analysis.analyse_lines(rows, EXACT)
    assert found["confusions"] == [
        {"label": "5", "text": "S", "count": 3, "labelled": 3, "source": "rec_gt.txt:7"},
        {"label": "", "text": "3", "count": 1, "labelled": 0, "source": "rec_gt.txt:10"},
        {"label": "7", "text": "", "count": 1, "labelled": 2, "source": "rec_gt.txt:9"},
    ]
    assert found["characters"] == {"labelled": 9, "misread": 3, "missed": 1, "added": 1}


def test_no_more_confusions_are_told_than_a_person_looks_at() -> None:
    rows = [row(chr(0x100 + n) * (n + 1), chr(0x200 + n) * (n + 1)) for n in range(30)]
    counts = [each["count"] for each in analysis.analyse_lines(rows, EXACT)["confusions"]]
    assert counts == list(range(30, 10, -1))


def test_what_the_metric_does_not_compare_is_no_confusion() -> None:
    rows = [row("a b", "ab"), row("A-1", "a1")]
    spaces = analysis.analyse_lines(rows, Comparison(ignore_space=True))
    assert [(each["label"], each["text"]) for each in spaces["confusions"]] == [("-", ""), ("A", "a")]
    assert analysis.analyse_lines(rows, Comparison(is_filter=True))["confusions"] == []
    assert [line["label"] for line in spaces["worst"]] == ["A-1"]


def test_of_equally_wrong_lines_the_most_confident_is_the_worst() -> None:
    rows = [
        row("ab", "ab", score=0.1),
        row("cd", "xy", score=0.3),
        row("ef", "xy", score=0.8),
        row("gh", "gx", score=0.99),
    ]
    assert [line["label"] for line in analysis.analyse_lines(rows, EXACT)["worst"]] == ["ef", "cd", "gh"]


@given(label=TEXTS, text=TEXTS, comparison=st.builds(Comparison, ignore_space=st.booleans(), is_filter=st.booleans()))
def test_what_is_not_marked_as_wrong_is_the_same_in_both(label: str, text: str, comparison: Comparison) -> None:
    wrong = analysis.wrong_places(row(label, text), comparison)
    left = [
        comparison.folded("".join(character for place, character in enumerate(one) if place not in its))
        for one, its in zip((label, text), wrong, strict=True)
    ]
    assert left[0] == left[1]
    assert all(comparison.folded(label[place]) for place in wrong[0])


@pytest.mark.parametrize("turned", [False, True])
def test_a_line_is_as_high_as_the_network_sees_it(turned: bool) -> None:
    points = box(10, 10, 30, 200) if turned else box(10, 10, 200, 30)
    assert analysis.line_height(points, [0.5, 0.5]) == pytest.approx(15)


def test_a_detectors_analysis_counts_lines_and_boxes_and_names_the_worst_pages() -> None:
    whole = page([("one", box(0, 0, 90, 10))], [box(0, 0, 90, 10)], image="whole.png")
    half = page(
        [("two", box(0, 0, 90, 10)), ("twenty", box(0, 50, 90, 30))],
        [box(0, 0, 90, 10), box(500, 0, 9, 9), box(600, 0, 9, 9)],
        image="half.png",
    )
    none = page([("no", box(0, 0, 90, 10))], [], image="none.png")
    source = "Label.txt:1"
    assert analysis.analyse([whole, half, none], {"Architecture": {"model_type": "det"}}) == {
        "by_height": [
            {"from": 8, "to": 11, "lines": 3, "found": 2, "recall": 2 / 3},
            {"from": 24, "to": 31, "lines": 1, "found": 0, "recall": 0.0},
        ],
        "by_length": [
            {"from": 1, "to": 5, "lines": 3, "found": 2, "recall": 2 / 3},
            {"from": 6, "to": 10, "lines": 1, "found": 0, "recall": 0.0},
        ],
        "lines": 4,
        "found": 2,
        "missed": 2,
        "false": 2,
        "worst": [
            {"image": "none.png", "source": source, "hmean": 0.0, "found": 0, "missed": 1, "false": 0},
            {"image": "half.png", "source": source, "hmean": 0.4, "found": 1, "missed": 1, "false": 2},
        ],
    }


def test_a_recognisers_analysis_compares_as_its_metric_does() -> None:
    config = {"Architecture": {"model_type": "rec"}, "Metric": {"ignore_space": False}}
    assert analysis.analyse([row("a b", "ab")], config) == analysis.analyse_lines([row("a b", "ab")], EXACT)


def test_a_page_with_nothing_on_it_is_a_good_page_unless_something_is_found() -> None:
    assert matching.match(page([], [])).hmean == 1
    assert matching.match(page([("###", box(0, 0, 50, 50))], [box(1, 1, 40, 40)])).hmean == 1
    assert matching.match(page([], [box(0, 0, 9, 9)])).hmean == 0


def test_no_lines_and_no_pages_are_told_of_as_none() -> None:
    lines, pages = analysis.analyse_lines([], EXACT), analysis.analyse_pages([])
    assert (lines["by_length"], lines["confusions"], lines["worst"]) == ([], [], [])
    assert (pages["by_height"], pages["lines"], pages["worst"]) == ([], 0, [])
