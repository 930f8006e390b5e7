"""A distillation, network by network."""

from pathlib import Path
from xml.etree import ElementTree

from tests.unit.trainer.report.made import distilled, rec_row, work_of, write
from trainer.registry.distillation import Gain


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
