"""One line of a label file."""

import json
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.trainer.datasets.made import dataset
from trainer.datasets import labels


@pytest.mark.parametrize(
    ("label", "reason"),
    [
        ("", "the label is empty"),
        ("  ", "the label is empty"),
        ("a\tb", "the label has the control character U+0009"),
        ("a\x00b", "the label has the control character U+0000"),
    ],
)
def test_a_text_that_cannot_be_learnt_is_counted(tmp_path: Path, label: str, reason: str) -> None:
    found = labels.read(dataset(tmp_path, {"rec_gt.txt": f"a.jpg\tx\nb.jpg\t{label}\n"}, "a.jpg", "b.jpg"), "rec")
    found.require_form()
    assert [(p.source, p.reason) for p in found.problems] == [("rec_gt.txt:2", reason)]


@pytest.mark.parametrize(
    ("region", "ignored", "flawed"),
    [
        (labels.Region(text="x", points=((0, 0), (4, 0), (4, 4))), False, False),
        (labels.Region(text="x", points=((0, 0), (4, 0), (4, 4)), difficult=True), True, False),
        (labels.Region(text="*", points=((0, 0), (4, 0), (4, 4))), True, False),
        (labels.Region(text="x", points=((0, 0), (4, 0), (8, 0))), True, False),
        (labels.Region(text="x", points=((0, 0), (4, 0))), True, True),
        (labels.Region(text="x", points=((0, 0), (2, 0), (2, 1))), False, False),
        (labels.Region(text="x", points=((0, 0), (2, 0), (2, 0.9))), True, False),
    ],
)
def test_marked_and_flat_regions_are_masked(region: labels.Region, ignored: bool, flawed: bool) -> None:
    """PaddleOCR's det loader knows masked text by `###` alone."""
    assert (region.ignored, region.flawed) == (ignored, flawed)
    assert json.loads(labels.spell([region], masked=True))[0]["transcription"] == ("###" if ignored else "x")


@pytest.mark.parametrize(
    ("points", "crossed"),
    [
        (((0, 0), (10, 0), (10, 10), (0, 10)), False),
        (((0, 0), (10, 10), (10, 0), (0, 10)), True),
        (((0, 0), (10, 0), (10, 10), (5, 0), (0, 10)), False),
        (((0, 0), (10, 0), (10, 10), (5, -1), (0, 10)), True),
    ],
    ids=["a rectangle", "a bow", "a corner on a side", "a corner beyond a side"],
)
def test_a_region_is_crossed_by_sides_that_go_through_each_other(
    points: tuple[tuple[int, int], ...], crossed: bool
) -> None:
    for first in range(len(points)):
        for turned in (points[first:] + points[:first], (points[first:] + points[:first])[::-1]):
            assert labels.Region(text="x", points=turned).crossed is crossed


def test_a_region_has_the_same_area_wherever_it_lies() -> None:
    for x, y in ((0, 0), (100, 50), (-7, 300)):
        points = ((x, y), (x + 8, y), (x + 8, y + 2), (x, y + 2))
        assert labels.Region(text="x", points=points).area == labels.Region(text="x", points=points[::-1]).area == 16


def test_a_wrong_region_is_named_by_its_number() -> None:
    label = '[{"transcription": "x", "points": []}, {"points": []}]'
    with pytest.raises(labels.LineError, match="a region has no `transcription`") as caught:
        labels.parse(f"a.jpg\t{label}".encode(), "det")
    assert caught.value.detail == " (region 2)"


@pytest.mark.parametrize(
    "point",
    [
        *('[1, "2"]', "[true, 1]", "[1]", "[1, 2, 3]", "3"),
        *("[NaN, 0]", "[-Infinity, 0]", "[1e400, 0]", "[1000001, 0]"),
        pytest.param(f"[0, -{'9' * 400}]", id="400 digits"),
    ],
)
def test_a_point_is_two_numbers_of_an_image(point: str) -> None:
    with pytest.raises(labels.LineError, match=r"a region has no `points`, a list of \[x, y\]"):
        labels.parse(f'a.jpg\t[{{"transcription": "x", "points": [{point}]}}]'.encode(), "det")


def test_the_first_field_may_be_a_list_of_images() -> None:
    assert labels.parse(b'["a.jpg", "b.jpg"]\tx', "rec") == (("a.jpg", "b.jpg"), "x", ())


@pytest.mark.parametrize("field", ["[]", '["a.jpg", 3]', "[[]]", "[draft] a.jpg", '["a.jpg"', "[" * 100_000])
def test_a_first_field_that_is_no_list_of_images_is_the_name_of_one(field: str) -> None:
    assert labels.parse(f"{field}\tx".encode(), "rec") == ((field,), "x", ())


@pytest.mark.parametrize(
    ("value", "difficult"),
    [
        *((value, True) for value in ("true", '"true"', '"True"', '" TRUE "', '"1"', "1")),
        *((value, False) for value in ("false", '"false"', '"False"', '"0"', "0", "null", '""')),
    ],
)
def test_a_text_may_mark_a_region_as_difficult_or_not(value: str, difficult: bool) -> None:
    label = f'[{{"transcription": "x", "points": [], "difficult": {value}}}]'
    parsed = labels.parse(f"a.jpg\t{label}".encode(), "det")
    assert parsed
    assert [region.difficult for region in parsed[2]] == [difficult]


@pytest.mark.parametrize("value", ['"no"', "2", "[]", "{}", "0.5", '"falsch"'])
def test_a_mark_that_is_neither_true_nor_false_is_refused(value: str) -> None:
    label = f'[{{"transcription": "x", "points": [], "difficult": {value}}}]'
    with pytest.raises(labels.LineError, match=r"^a region's `difficult` is neither true nor false \(region 1\)$"):
        labels.parse(f"a.jpg\t{label}".encode(), "det")


NUMBERS = st.one_of(st.integers(-1000, 1000), st.floats(-1000, 1000))
REGIONS = st.builds(
    labels.Region,
    text=st.text(st.characters(exclude_categories=["Cs"])),
    points=st.lists(st.tuples(NUMBERS, NUMBERS), max_size=6).map(tuple),
    difficult=st.booleans(),
)


@given(st.lists(REGIONS, max_size=4))
def test_what_is_written_is_read_back(marked: list[labels.Region]) -> None:
    line = f"a.jpg\t{labels.spell(marked, masked=False)}".encode()
    assert labels.parse(line, "det") == (("a.jpg",), None, tuple(marked))


@given(st.binary(max_size=80), st.sampled_from(["det", "rec"]))
def test_garbage_is_a_line_error_and_nothing_else(raw: bytes, kind: str) -> None:
    for line in (raw, b"a.jpg\t" + raw, b"a.jpg\t[{" + raw + b"}]", raw + b"\tx"):
        with suppress(labels.LineError):
            labels.parse(line, kind)  # type: ignore[arg-type]
