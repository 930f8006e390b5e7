"""Where a model goes wrong, as tables."""

from pathlib import Path

from tests.unit.trainer.report.made import line, rec_row, square, work_of, write
from trainer.report import pictures


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
