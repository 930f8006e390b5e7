"""The report as one page of HTML."""

from pathlib import Path

from tests.unit.trainer.report.made import Page, rec_row, work_of, write

EVIL = '<img src=x onerror=alert(1)>|*bold*\u2028"'


def test_the_page_loads_nothing_but_the_pictures_beside_it(tmp_path: Path) -> None:
    work = work_of(tmp_path, "rec", [rec_row(str(n), str(n)) for n in range(30)])
    page = Page(write(work, "rec")[0])
    assert "script" not in page.tags
    assert "link" not in page.tags
    assert len(page.loads) == 24
    assert all((work.report / name).is_file() for name in page.loads)


def test_what_labels_hold_is_text_and_nothing_else(tmp_path: Path) -> None:
    html, markdown = write(work_of(tmp_path, "rec", [rec_row(EVIL, EVIL + "!")]), "rec")
    page = Page(html)
    assert not page.handlers
    assert "x" not in page.loads
    assert "<img" not in markdown
    rows = [row for row in markdown.splitlines() if "line-01.png" in row]
    assert rows[0].count("|") == 6, "a label must not open a column"
