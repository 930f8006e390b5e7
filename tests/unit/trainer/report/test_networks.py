"""A distillation, network by network."""

import re
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


def rows(markdown: str) -> list[int]:
    """The steps of the table of evaluations."""
    found = (re.match(r"\| ([\d,]+) \| \d+ \|", row) for row in markdown.splitlines())
    return [int(match[1].replace(",", "")) for match in found if match]


def test_a_hundred_evaluations_are_listed_whole(tmp_path: Path) -> None:
    work = work_of(tmp_path, "rec", [rec_row("a", "a")])
    _, markdown = write(work, "rec", distilled=distilled(work, evaluations=99))
    assert rows(markdown) == [*range(100, 10_000, 100), 9950]
    assert "selection of" not in markdown


def test_a_long_distillation_is_told_in_some_rows_the_best_one_among_them(tmp_path: Path) -> None:
    """The last evaluation is always listed, and of several that were the best so far the last one."""
    work = work_of(tmp_path, "rec", [rec_row("a", "a")])
    _, markdown = write(work, "rec", distilled=distilled(work, evaluations=500, better_alone=False))
    assert rows(markdown) == [200, *range(300, 50_000, 600), 50_050]
    assert "An even selection of 85 of 501, with the best one" in markdown


def test_a_model_of_one_network_has_no_word_of_others(tmp_path: Path) -> None:
    for text in write(work_of(tmp_path, "rec", [rec_row("a", "a")]), "rec"):
        assert "Networks" not in text
