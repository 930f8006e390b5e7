"""Whole reports, as they were looked at. `python -m tests.unit.trainer.report.test_golden` writes the golden files."""

import re
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.unit.trainer.report.made import distilled, dump, line, rec_row, square, work_of, write
from trainer.registry.distillation import Gain
from trainer.report import write_report
from trainer.run.workdir import WorkDir

GOLDEN = Path(__file__).with_name("golden")
PICTURES = {"det": ("page-01.jpg", "page-02.jpg", "page-03.jpg"), "rec": ("line-01.png",)}


def _lines(folder: Path) -> WorkDir:
    """A recogniser's run: wrong, empty and right lines, more of them than a report shows, and pictures of two sizes."""
    rows = [rec_row("12.50", "12.58", 0.4), rec_row("a b", "ab", 0.6), rec_row("no", "", 0.0)]
    rows += [rec_row("x" * n, "x" * n, 0.5 + n / 100) for n in range(1, 41)]
    work = work_of(folder, "rec", [{**rows[2], "image": "long.png"}, *rows[:2], *rows[3:]])
    wide = Image.linear_gradient("L").resize((1800, 100)).convert("RGB")
    wide.paste((200, 30, 30), (0, 0, 40, 100))
    wide.save(work.prepared / "long.png")
    return work


def _pages(folder: Path) -> WorkDir:
    """A detector's run: lines of all kinds, a box at the page's edge, a page larger than its picture, an empty one."""
    labels = [line(square(20, 20)), line(square(60, 20)), line(square(100, 20), "###"), line(square(20, 60), "long")]
    boxes = [square(21, 21), square(150, 60), square(101, 21), square(178, 10)]
    mixed = {"image": "x.png", "source": "Label.txt:1", "label": labels, "boxes": boxes, "scores": [0.9, 0.8, 0.7, 0.6]}
    far = [line(square(10, 5, 40)), line(square(1500, 50, 60), "far")]
    wide: dict[str, Any] = {"image": "wide.png", "source": "Label.txt:2", "label": far, "scores": [0.55]}
    wide["boxes"] = [square(1502, 52, 60)]
    empty: dict[str, Any] = {"image": "x.png", "source": "Label.txt:3", "label": [], "boxes": [], "scores": []}
    rows: list[dict[str, Any]] = [{**row, "scale": [1.0, 1.0]} for row in (mixed, wide, empty)]
    work = work_of(folder, "det", rows)
    Image.new("RGB", (1600, 120), (230, 230, 210)).save(work.prepared / "wide.png")
    return work


def _det(folder: Path) -> WorkDir:
    work = _pages(folder)
    write(work, "det")
    return work


def _rec(folder: Path) -> WorkDir:
    work = _lines(folder)
    write(work, "rec")
    return work


def _distilled(folder: Path) -> WorkDir:
    work = work_of(folder, "rec", [rec_row("a", "a"), rec_row("b", "c")])
    gain = Gain(baseline="channel:plain", said="acc 0.6000 is 0.1000 above the 0.5000 of it.")
    write(work, "rec", distilled=distilled(work).with_gain(gain))
    return work


def _nothing(folder: Path) -> WorkDir:
    """A run of which only the dataset is known."""
    work = WorkDir(folder)
    dump(
        work.prepared / "dataset.json",
        {"task": "det", "digest": "d" * 64, "max_text_length": 4, "counts": {}, "refused": []},
    )
    write_report(work, name="receipts", run_id="receipts-0a1b2c3d", task="det")
    return work


CASES: dict[str, Callable[[Path], WorkDir]] = {"det": _det, "rec": _rec, "distilled": _distilled, "nothing": _nothing}


def _texts(report: Path) -> dict[str, str]:
    """Both forms of a report, the page without its styles and with a line for each tag."""
    page = re.sub(r"<style>.*?</style>", "", (report / "report.html").read_text("utf-8"), flags=re.DOTALL)
    return {"report.html": page.replace("><", ">\n<"), "report.md": (report / "report.md").read_text("utf-8")}


@pytest.mark.parametrize("case", CASES)
def test_a_report_is_the_one_that_was_looked_at(case: str, tmp_path: Path) -> None:
    report = CASES[case](tmp_path).report
    assert _texts(report) == {name: (GOLDEN / case / name).read_text("utf-8") for name in ("report.html", "report.md")}
    for name in PICTURES.get(case, ()):
        with Image.open(report / name) as made, Image.open(GOLDEN / case / name) as looked_at:
            assert made.size == looked_at.size
            assert made.tobytes() == looked_at.tobytes(), name


if __name__ == "__main__":
    for each, make in CASES.items():
        with tempfile.TemporaryDirectory() as temporary:
            made_report = make(Path(temporary)).report
            (GOLDEN / each).mkdir(parents=True, exist_ok=True)
            for name, text in _texts(made_report).items():
                (GOLDEN / each / name).write_text(text, "utf-8")
            for name in PICTURES.get(each, ()):
                (GOLDEN / each / name).write_bytes((made_report / name).read_bytes())
