"""Pictures of what was read."""

from pathlib import Path

import numpy as np
import pytest

from trainer.errors import SpecError
from trainer.evaluation import drawing
from trainer.evaluation.drawing import Line, lacking

PAGE = np.full((60, 120, 3), 255, np.uint8)
BOX = ((10.0, 10.0), (60.0, 10.0), (60.0, 34.0), (10.0, 34.0))


def colours(picture: object) -> set[tuple[int, ...]]:
    return {colour for _, colour in picture.getcolors(1 << 24)}  # type: ignore[attr-defined]


def test_a_page_is_shown_beside_what_was_read_and_alone_without_texts() -> None:
    alone = drawing.page(PAGE, [Line(box=BOX, score=0.9)])
    both = drawing.page(PAGE, [Line(box=BOX, score=0.9, text="ONE", confidence=0.99)])
    assert both.width == 2 * alone.width + 1
    assert both.height == alone.height


@pytest.mark.parametrize(("sure", "colour"), [(0.99, drawing.GOOD), (0.05, drawing.BAD)], ids=["sure", "doubtful"])
def test_a_boxs_colour_says_how_sure_the_model_is(sure: float, colour: tuple[int, int, int]) -> None:
    shown = colours(drawing.page(PAGE, [Line(box=BOX, score=sure)]))
    assert colour in shown
    assert ({drawing.GOOD, drawing.BAD} - {colour}).isdisjoint(shown)


def test_a_small_page_is_enlarged_and_a_large_one_bounded() -> None:
    small = ((1.0, 1.0), (9.0, 1.0), (9.0, 6.0), (1.0, 6.0))
    assert drawing.page(PAGE, [Line(box=small, score=0.9)]).width > PAGE.shape[1]
    huge = np.zeros((100, 9000, 3), np.uint8)
    assert drawing.page(huge, []).width <= drawing.LARGEST


def test_a_line_has_room_for_its_text_however_long() -> None:
    image = np.full((10, 20, 3), 255, np.uint8)
    short, long = (drawing.line(image, Line(box=BOX, text=text, confidence=0.5)) for text in ("A", "A" * 80))
    assert long.width > short.width
    drawing.line(image, Line(box=BOX, text="", confidence=None))


def test_characters_that_a_font_lacks_are_named() -> None:
    assert lacking("A b\n字") == "字"
    assert lacking("plain text") == ""


def test_a_font_that_is_none_is_refused_by_its_name(tmp_path: Path) -> None:
    font = tmp_path / "letters.ttf"
    font.write_bytes(b"no font")
    with pytest.raises(SpecError, match=r"letters\.ttf"):
        drawing.page(PAGE, [Line(box=BOX, text="A", confidence=1.0)], font=font)
