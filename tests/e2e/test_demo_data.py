"""The generated pages: what the demo and the training tests learn from."""

import json
import random
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from examples.demo import __main__ as demo
from examples.demo import pages


@pytest.fixture(scope="module")
def export(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("work") / "slips"
    pages.write_export(out, pages=6, seed=7)
    return out


def rows(export: Path) -> dict[str, list[dict]]:
    lines = (export / "Label.txt").read_text("utf-8").splitlines()
    return {path: json.loads(entries) for path, entries in (line.split("\t") for line in lines)}


def test_the_same_seed_gives_the_same_bytes(export: Path, tmp_path: Path) -> None:
    """A run can be repeated, since its data can be."""
    again = tmp_path / "slips"
    pages.write_export(again, pages=6, seed=7)
    first = {path.name: path.read_bytes() for path in export.iterdir()}
    assert first == {path.name: path.read_bytes() for path in again.iterdir()}


def test_another_seed_gives_other_pages(export: Path, tmp_path: Path) -> None:
    """The pages that predict reads were not in the training set."""
    other = tmp_path / "slips"
    pages.write_export(other, pages=6, seed=8)
    seen = {tuple(texts) for texts in pages.read_truth(export).values()}
    assert seen.isdisjoint(tuple(texts) for texts in pages.read_truth(other).values())


def test_more_pages_leave_the_first_ones_as_they_are(export: Path, tmp_path: Path) -> None:
    """A larger set holds the smaller one, so a split that is stable can be seen to be."""
    more = tmp_path / "slips"
    pages.write_export(more, pages=8, seed=7)
    assert rows(export).items() <= rows(more).items()


def test_paths_begin_with_the_folder_and_every_page_is_confirmed(export: Path) -> None:
    """PPOCRLabel writes both files so."""
    names = [f"slips/page-{number:03d}.jpg" for number in range(6)]
    assert list(rows(export)) == names
    assert (export / "fileState.txt").read_text() == "".join(f"{name}\t1\n" for name in names)


def test_every_box_lies_on_the_page_and_holds_all_of_its_ink() -> None:
    """A box that cuts a digit would teach the recogniser a wrong one; one with a neighbour's ink would, too."""
    for seed in range(20):
        image, lines = pages.draw_page(random.Random(seed))
        dark = np.asarray(image.convert("L")) < 128
        covered = np.zeros_like(dark)
        for line in lines:
            x1, y1, x2, y2 = line.box
            assert 0 <= x1 < x2 <= pages.SIDE
            assert 0 <= y1 < y2 <= pages.SIDE
            assert not covered[y1:y2, x1:x2].any(), "boxes overlap"
            assert dark[y1:y2, x1:x2].any(), "a box without ink"
            covered[y1:y2, x1:x2] = True
        assert not (dark & ~covered).any(), "ink outside of every box"


def test_pages_have_the_size_that_the_jobs_train_on(export: Path) -> None:
    """The detector's crop is the page, so no text is cut."""
    for path in export.glob("*.jpg"):
        with Image.open(path) as image:
            assert image.size == (pages.SIDE, pages.SIDE)


def test_texts_are_words_of_the_list_or_numbers_of_3_to_5_digits(export: Path) -> None:
    """What the recogniser can learn in minutes."""
    texts = [text for page in pages.read_truth(export).values() for text in page]
    assert all(text in pages.WORDS or (text.isdigit() and 3 <= len(text) <= 5) for text in texts)
    assert any(text in pages.WORDS for text in texts)
    assert any(text.isdigit() for text in texts)


def test_a_text_that_is_read_twice_counts_once() -> None:
    """The demo's judgement is of texts, page by page; what was not there does not count."""
    truth = {"a.jpg": ["12", "12", "TAX"], "b.jpg": ["7"]}
    assert demo.compare(truth, {"a.jpg": ["12", "TAX", "99"]}) == (2, 4)
    assert demo.compare(truth, {"a.jpg": ["12", "TAX", "12"], "b.jpg": ["7", "7"]}) == (4, 4)
