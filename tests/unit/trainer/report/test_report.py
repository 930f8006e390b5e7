"""The report: whole, self-contained, safe against what labels hold, and honest about what went wrong."""

import json
import random
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from trainer.evaluation import analysis
from trainer.evaluation.analysis import Comparison
from trainer.registry import distillation
from trainer.registry.distillation import Distillation, Gain
from trainer.report import markdown, pictures, write_report
from trainer.report.curve import curve, decades, thinned, ticks
from trainer.run.workdir import WorkDir

EVIL = '<img src=x onerror=alert(1)>|*bold*\u2028"'
HISTORY = {
    "loss": [{"step": i, "epoch": 1, "loss": 100 / i, "lr": 1e-3} for i in range(1, 201)],
    "eval": [
        {"step": 100, "epoch": 1, "metrics": {"acc": 0.5, "norm_edit_dis": 0.7}, "best": True},
        {"step": 200, "epoch": 2, "metrics": {"acc": 0.4, "norm_edit_dis": 0.6}, "best": False},
    ],
}


def square(left: int, top: int, side: int = 20) -> list[list[int]]:
    return [[left, top], [left + side, top], [left + side, top + side], [left, top + side]]


def line(points: list[list[int]], text: str = "x") -> dict[str, Any]:
    return {"transcription": text, "points": points, "difficult": False}


def dump(path: Path, value: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, ensure_ascii=False), "utf-8")


def work_of(tmp_path: Path, task: str, rows: list[dict[str, Any]]) -> WorkDir:
    """A work folder as the stages leave it, with one picture for all samples."""
    work = WorkDir(tmp_path)
    found = {"acc": 0.5, "norm_edit_dis": 0.7} if task == "rec" else {"precision": 1.0, "recall": 0.5, "hmean": 0.67}
    best = {"step": 100, "epoch": 1, "metrics": found}
    dump(work.training_facts, {"history": HISTORY, "best": best, "steps": 200, "seconds": 75.0, "world_size": 2})
    told = analysis.analyse(rows, {"Architecture": {"model_type": task}, "Metric": {"ignore_space": False}})
    dump(work.evaluation_facts, {"split": "test", "samples": len(rows), "metrics": found, "analysis": told})
    outputs = {"max_difference": 1e-6, "tolerance": 1e-4, "samples": 3}
    equal = {"texts_equal": 3, "boxes_equal": 3}
    reading = {"version": "3.7.0", **equal, "samples": 3, "metric": found, "metric_trained": found}
    dump(work.verification_facts, {"outputs": outputs, "paddleocr": reading, "pair": "loaded"})
    refused = [
        {"source": f"Label.txt:{n}", "reason": "the dictionary lacks characters of the label: 'é'"} for n in range(9)
    ]
    facts = {"task": task, "digest": "d" * 64, "max_text_length": 4, "refused": refused}
    dump(work.prepared / "dataset.json", {**facts, "counts": {"train": 1200, "eval": 1, "test": len(rows)}})
    (work.prepared / "dictionary.txt").write_text("a\n<\nb\n", "utf-8")
    Image.new("RGB", (200, 100), "white").save(work.prepared / "x.png")
    work.evaluation.mkdir(exist_ok=True)
    work.predictions.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), "utf-8")
    return work


def rec_row(label: str, text: str, score: float = 0.9) -> dict[str, Any]:
    return {"image": "x.png", "source": f"rec_gt.txt:{label}", "label": label, "text": text, "score": score}


def write(work: WorkDir, task: str, *, distilled: Distillation | None = None) -> tuple[str, str]:
    facts = {"recipe": f"{task}-x"}
    write_report(work, name="receipts", run_id="receipts-0a1b2c3d", task=task, facts=facts, distilled=distilled)
    return (work.report / "report.html").read_text("utf-8"), (work.report / "report.md").read_text("utf-8")


class Page(HTMLParser):
    """What a browser would load and run."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.loads: list[str] = []
        self.handlers: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.loads += [value or "" for name, value in attrs if name in ("src", "href")]
        self.handlers += [name for name, _ in attrs if name.startswith("on")]


def test_the_page_loads_nothing_but_the_pictures_beside_it(tmp_path: Path) -> None:
    work = work_of(tmp_path, "rec", [rec_row(str(n), str(n)) for n in range(30)])
    page = Page(write(work, "rec")[0])
    assert "script" not in page.tags
    assert "link" not in page.tags
    assert len(page.loads) == 24
    assert all((work.report / name).is_file() for name in page.loads)


def test_both_forms_say_metrics_dataset_refusals_and_proof(tmp_path: Path) -> None:
    html, markdown = write(work_of(tmp_path, "rec", [rec_row("ab", "ab")]), "rec")
    for words in (
        "0.5000",
        "norm_edit_dis",
        "1,200",
        "3 and the space",
        "the dictionary lacks characters of the label",
        "Label.txt:0, Label.txt:1, Label.txt:2 and 6 more",
        "paddleocr 3.7.0 reads the same text as the trained model on 3 of 3 lines",
        "rec-x",
        "receipts-0a1b2c3d",
    ):
        assert words in html
        assert words in markdown


def test_what_labels_hold_is_text_and_nothing_else(tmp_path: Path) -> None:
    html, markdown = write(work_of(tmp_path, "rec", [rec_row(EVIL, EVIL + "!")]), "rec")
    page = Page(html)
    assert not page.handlers
    assert "x" not in page.loads
    assert "<img" not in markdown
    rows = [row for row in markdown.splitlines() if "line-01.png" in row]
    assert rows[0].count("|") == 6, "a label must not open a column"


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


def test_both_forms_tell_what_is_read_for_what_and_which_lengths_fail(tmp_path: Path) -> None:
    rows = [rec_row("5x0", "Sx0"), rec_row("a b", "ab"), rec_row("123456", "123456")]
    html, markdown = write(work_of(tmp_path, "rec", rows), "rec")
    assert "<code>5</code></td><td><code>S</code></td>" in html
    assert "| 5 | S | 1 | 2 | rec_gt.txt:5x0 |" in markdown
    assert "| space | nothing | 1 | 1 |" in markdown
    assert "| 1–5 | 2 | 0 | 0.0000 | 0.6667 |" in markdown
    assert "| 6–10 | 1 | 1 | 1.0000 | 1.0000 |" in markdown
    assert "Of 12 characters, 1 were misread and 1 missed, and 0 were added: 16.67&#37; wrong." in markdown.replace(
        "%", "&#37;"
    )


def test_a_detectors_report_tells_which_heights_are_missed_and_what_the_colours_mean(tmp_path: Path) -> None:
    labels = [line(square(20, 20, 10)), line(square(60, 20, 30))]
    row = {"image": "x.png", "source": "Label.txt:1", "label": labels, "boxes": [square(60, 21, 30)]}
    work = work_of(tmp_path, "det", [row | {"scores": [0.9], "scale": [1.0, 1.0]}])
    html, markdown = write(work, "det")
    assert "| 8–11 | 1 | 0 | 0.0000 |" in markdown
    assert "| 24–31 | 1 | 1 | 1.0000 |" in markdown
    for colour, words in pictures.LEGEND.values():
        assert words in html
        assert f"{colour}: {words}" in markdown


NETWORKS = {"Student": (0.5, False), "Student2": (0.45, False), "Teacher": (0.9, True)}


def distilled(work: WorkDir, evaluations: int = 2) -> Distillation:
    """Make the training of a work folder one of three networks, the picked one then trained by itself for an epoch."""
    at = {name: {"acc": acc, "norm_edit_dis": acc + 0.1} for name, (acc, _) in NETWORKS.items()}
    entries = [
        {"step": 100 * n, "epoch": n, "metrics": at["Student"], "network": "Student", "networks": at, "best": n == 2}
        for n in range(1, evaluations + 1)
    ]
    alone = {"step": 100 * evaluations + 50, "epoch": 1, "metrics": {"acc": 0.6, "norm_edit_dis": 0.7}, "best": True}
    about = {name: {"parameters": 1_234_567, "frozen": frozen} for name, (_, frozen) in NETWORKS.items()}
    facts = {
        "history": {"loss": HISTORY["loss"], "eval": [*entries, {**alone, "network": "Student"}]},
        "distillation": {
            "networks": {name: {**about[name], "metrics": at[name], "seconds_per_image": 0.0123} for name in about},
            "picked": "Student",
            "why": "Student has the best acc.",
            "fine_tuned_epochs": 1,
        },
    }
    dump(work.training_facts, facts)
    work.inference.mkdir()
    (work.inference / "inference.pdiparams").write_bytes(bytes(1234))
    found = distillation.read(work)
    assert found
    return found


def test_a_distillation_is_told_network_by_network(tmp_path: Path) -> None:
    work = work_of(tmp_path, "rec", [rec_row("a", "a")])
    told = distilled(work).with_gain(Gain(baseline="channel:plain", said="acc 0.6000 is 0.1000 above the 0.5000."))
    html, markdown = write(work, "rec", distilled=told)
    assert "| Student | learns; published | 1,234,567 | 4.9 MB | 12.3 | 0.5000 | 0.6000 |" in markdown
    assert "| Student2 | learns | 1,234,567 |" in markdown
    assert "| Teacher | teaches | 1,234,567 |" in markdown
    assert "| 200 | 2 | 0.5000, 0.6000 | 0.4500, 0.5500 | 0.9000, 1.0000 | Student |" in markdown
    assert "| 250 | 1 | 0.6000, 0.7000 | – | – | Student |" in markdown
    for words in (
        "Student has the best acc. It was then trained alone for 1 epoch. acc 0.6000 is 0.1000 above the 0.5000.",
        "Metrics are of the eval split, at the step of the published weights. Parameters used only in training are "
        "not counted. The exported Student has 1.2 kB.",
    ):
        assert words in html
        assert words in markdown
    drawn = {element.text for element in ElementTree.parse(work.report / "curve.svg").iter()}
    assert {"acc of each network", "Student", "Student2", "Teacher", "best: 0.6000"} <= drawn


def test_a_gain_that_is_not_known_is_said_to_be_so(tmp_path: Path) -> None:
    work = work_of(tmp_path, "rec", [rec_row("a", "a")])
    for text in write(work, "rec", distilled=distilled(work)):
        assert "The gain from the teacher is unknown" in text


def test_a_long_distillation_is_told_in_some_rows_the_best_one_among_them(tmp_path: Path) -> None:
    work = work_of(tmp_path, "rec", [rec_row("a", "a")])
    _, markdown = write(work, "rec", distilled=distilled(work, evaluations=500))
    rows = [row for row in markdown.splitlines() if "0.5000, 0.6000" in row]
    assert 95 < len(rows) < 102
    assert "of 501, with the best one" in markdown
    assert "| 50,050 | 1 | 0.6000, 0.7000 |" in markdown


def test_a_model_of_one_network_has_no_word_of_others(tmp_path: Path) -> None:
    for text in write(work_of(tmp_path, "rec", [rec_row("a", "a")]), "rec"):
        assert "Networks" not in text


def test_samples_left_out_while_training_are_accounted_for(tmp_path: Path) -> None:
    work = work_of(tmp_path, "rec", [rec_row("a", "a")])
    assert "while training" not in write(work, "rec")[0]
    facts = json.loads(work.training_facts.read_text("utf-8"))
    batch = {"epoch": 3, "step": 1204, "samples": [f"Label.txt:{n}" for n in range(8)], "reason": "the loss is nan"}
    refused = {f"Label.txt:{n}": "the image cannot be decoded" for n in range(4)}
    dump(work.training_facts, {**facts, "skipped_batches": [batch], "refused": refused})
    html, markdown = write(work, "rec")
    places = "Label.txt:0, Label.txt:1, Label.txt:2 and"
    assert f"| 3 | 1,204 | the loss is nan | 8 | {places} 5 more |" in markdown
    assert f"| the image cannot be decoded | 4 | {places} 1 more |" in markdown
    assert "Skipped batches" in html
    assert "Refused during training" in html


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


def test_a_model_that_was_not_verified_is_not_said_to_be(tmp_path: Path) -> None:
    work = work_of(tmp_path, "rec", [rec_row("a", "a")])
    work.verification_facts.unlink()
    html, markdown = write(work, "rec")
    assert "has not been verified" in html
    assert "Not verified." in markdown


def test_writing_again_leaves_nothing_of_the_last_report(tmp_path: Path) -> None:
    work = work_of(tmp_path, "rec", [rec_row(str(n), str(n)) for n in range(5)])
    write(work, "rec")
    work.predictions.write_text(json.dumps(rec_row("a", "a")) + "\n", "utf-8")
    write(work, "rec")
    assert [path.name for path in sorted(work.report.glob("line-*"))] == ["line-01.png"]


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


@given(st.text(max_size=40))
def test_any_text_stands_in_one_cell_of_a_table(text: str) -> None:
    cell = markdown.plain(text)
    assert not set(cell) & set("|`*<>\n\r[]")
