"""Documents from outside become values of a type, or a ValueError."""

import math
from dataclasses import dataclass

import pytest

from trainer.formats import typed_json


@dataclass(frozen=True, kw_only=True)
class Model:
    name: str
    metrics: dict[str, float]


def test_a_document_becomes_a_value_and_unknown_fields_are_ignored() -> None:
    assert typed_json.decode(b'{"name": "x", "metrics": {"acc": 1}, "later": []}', Model) == Model(
        name="x", metrics={"acc": 1.0}
    )


def test_a_character_in_two_escapes_is_read() -> None:
    assert typed_json.decode(rb'{"name": "\ud83d\ude00", "metrics": {}}', Model).name == "😀"


def test_what_python_writes_for_no_number_is_read() -> None:
    assert math.isnan(typed_json.decode('{"name": "x", "metrics": {"acc": NaN}}', Model).metrics["acc"])


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "Expecting value"),
        (b"\xff", "codec can't decode"),
        (b"[" * 100_000, "nested too deeply"),
        (rb'{"name": "\ud83d", "metrics": {}}', "surrogates not allowed"),
        (b'{"name": "x", "metrics": null}', r"Expected `object`, got `null` - at `\$\.metrics`"),
        (b'{"name": "x", "metrics": {"acc": "1"}}', "Expected `float`, got `str`"),
        (b'{"name": "x"}', "missing required field `metrics`"),
        (b'{"name": "x", "metrics": {"acc": 1' + b"0" * 5000 + b"}}", "limit"),
    ],
    ids=["empty", "not UTF-8", "deep", "half of a character", "null", "text", "missing", "a number of 5000 digits"],
)
def test_anything_else_is_an_error_that_says_where(data: bytes, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        typed_json.decode(data, Model)
