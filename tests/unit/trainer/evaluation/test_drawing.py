"""Pictures of what was read. `python -m tests.unit.trainer.evaluation.test_drawing` draws the golden ones."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from trainer.errors import SpecError
from trainer.evaluation import drawing
from trainer.evaluation.drawing import Line, lacking

GOLDEN = Path(__file__).with_name("golden")
PAGE = np.full((60, 120, 3), 255, np.uint8)
BOX = ((10.0, 10.0), (60.0, 10.0), (60.0, 34.0), (10.0, 34.0))


def box(left: float, top: float, width: float, height: float, slope: float = 0.0) -> tuple[drawing.Point, ...]:
    right, bottom = left + width, top + height
    return ((left, top), (right, top + slope), (right, bottom + slope), (left, bottom))


def shaded(height: int, width: int) -> "np.ndarray[tuple[int, int, int], np.dtype[np.uint8]]":
    """A page whose three channels differ everywhere."""
    down, across = np.mgrid[0:height, 0:width]
    return np.stack([200 + down % 50, 255 - across % 60, 180 + (down + across) % 70], axis=2).astype(np.uint8)


TEXTS = [
    Line(box=box(10, 10, 200, 24), score=0.99, text="A long line with room", confidence=0.987),
    Line(box=box(230, 10, 40, 24), score=0.99, text="Short", confidence=0.9),
    Line(box=box(10, 50, 220, 22, slope=18), score=0.9, text="A sloping line", confidence=0.899),
    Line(box=box(20, 100, 24, 90), score=0.9, text="Upright", confidence=0.7),
    Line(box=box(60, 100, 60, 24), score=0.9, text="A text that is far too long for its box", confidence=0.699),
    Line(box=box(60, 140, 120, 30), score=0.9, text="", confidence=0.2),
    Line(box=box(60, 180, 14, 20), score=0.9, text="I", confidence=None),
    Line(box=box(200, 150, 80, 6), score=0.9, text="tiny", confidence=0.95),
    Line(box=box(250, 190, 48, 30), score=0.9, text="edge", confidence=0.95),
    Line(box=box(100, 190, 10, 22), score=0.9, text="ab", confidence=0.5),
    Line(box=box(130, 180, 110, 44), score=0.9, text="Hi", confidence=0.5),
]
SCORES = [
    Line(box=box(10, 3, 60, 12), score=0.9),
    Line(box=box(100, 30, 60, 12, slope=8), score=0.89),
    Line(box=box(10, 50, 60, 12), score=0.7),
    Line(box=box(10, 80, 60, 12), score=0.69),
    Line(box=box(100, 80, 60, 12)),
    Line(box=((170.0, 10.0), (190.0, 60.0)), score=0.8),
]
PICTURES = {
    "texts": lambda: drawing.page(shaded(230, 300), TEXTS),
    "scores": lambda: drawing.page(shaded(110, 200), SCORES),
    "enlarged": lambda: drawing.page(shaded(30, 60), [Line(box=box(2, 2, 30, 4), score=0.9)]),
    "half-text": lambda: drawing.page(shaded(60, 120), [TEXTS[0], Line(box=box(10, 40, 60, 12), score=0.9)]),
    "thin": lambda: drawing.page(shaded(1, 6000), []),
    "line": lambda: drawing.line(shaded(20, 150), Line(box=BOX, text="Total 12.50", confidence=0.8)),
    "nothing": lambda: drawing.line(shaded(80, 100), Line(box=BOX, text="", confidence=None)),
    "wide": lambda: drawing.line(shaded(1, 6000), Line(box=BOX, text="-", confidence=0.1)),
}


@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_is_the_one_that_was_looked_at(name: str) -> None:
    made = PICTURES[name]()
    with Image.open(GOLDEN / f"{name}.png") as looked_at:
        assert made.size == looked_at.size
        assert made.tobytes() == looked_at.tobytes()


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


if __name__ == "__main__":
    for each, draw in PICTURES.items():
        draw().save(GOLDEN / f"{each}.png", optimize=True)
