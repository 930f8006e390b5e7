"""YAML as the job file, Helm and PaddleOCR have it."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainer.errors import SpecError
from trainer.formats.yaml import parse_yaml, to_yaml


@pytest.mark.parametrize("text", ["1e-4", "1E-4", "+1e4", "1.5e-3", ".5e1"])
def test_a_number_with_an_exponent_is_a_number(text):
    """PyYAML alone reads 1e-4 as a string; Helm and PaddleOCR's users mean a number."""
    assert parse_yaml(f"rate: {text}", source="job.yaml") == {"rate": float(text)}


def test_a_key_that_stands_twice_is_refused_with_its_line():
    with pytest.raises(SpecError, match=r"job\.yaml:2:1 is not YAML: the key 'a' appears twice"):
        parse_yaml("a: 1\na: 2\n", source="job.yaml")


def test_text_that_is_not_yaml_is_refused_with_its_line():
    with pytest.raises(SpecError, match=r"^job\.yaml:2:3 is not YAML: "):
        parse_yaml("a: 1\n b: 2\n", source="job.yaml")


@given(st.text(max_size=200))
def test_any_text_is_yaml_or_a_spec_error(text):
    with contextlib.suppress(SpecError):
        parse_yaml(text, source="job.yaml")


def test_a_large_dictionary_is_read_where_one_is_expected():
    """An export's inference.yml lists every character; that of PP-OCRv5 has 18,383 of them."""
    text = to_yaml({"character_dict": ["字"] * 30_000})
    with pytest.raises(SpecError, match="it has more than 20,000 values"):
        parse_yaml(text, source="job.yaml")
    assert len(parse_yaml(text, source="inference.yml", exported=True)["character_dict"]) == 30_000
