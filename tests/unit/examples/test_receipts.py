"""What the example of receipts takes for a page that was read."""

import json
from pathlib import Path

import pytest

from examples.receipts.__main__ import labelled, require_read
from examples.road import StepError


def test_a_page_with_about_as_many_lines_as_are_labelled_is_read() -> None:
    for count in (20, 40, 80):
        require_read(["A"] * count, labelled=40)
    require_read(["A"] * 20 + [""] * 20, labelled=40)


@pytest.mark.parametrize(
    "texts",
    [[], ["A"] * 19, ["A"] * 81, ["A"] * 19 + [""] * 21, [" "] * 40],
    ids=["none", "few", "many", "empty ones", "blank"],
)
def test_a_page_without_lines_or_texts_ends_the_example(texts: list[str]) -> None:
    with pytest.raises(StepError, match=rf"{len(texts)} lines were found .*where 40 are labelled"):
        require_read(texts, labelled=40)


def test_labelled_lines_are_counted_by_the_pages_name(tmp_path: Path) -> None:
    rows = [("receipts/000.jpg", 3), ("receipts/003.jpg", 1)]
    (tmp_path / "Label.txt").write_text("".join(f"{name}\t{json.dumps([{}] * count)}\n" for name, count in rows))
    assert [labelled(tmp_path, page) for page in ("000.jpg", "003.jpg")] == [3, 1]
    with pytest.raises(StepError, match=r"no line for 006\.jpg"):
        labelled(tmp_path, "006.jpg")
