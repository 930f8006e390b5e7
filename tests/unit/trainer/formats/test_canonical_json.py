"""The canonical form and its digest; that Helm makes the same of the same data is in run/test_identity.py."""

import hashlib

import pytest

from trainer.errors import SpecError
from trainer.formats.canonical_json import bare, canonical, digest


def test_a_digest_is_the_sha256_of_the_canonical_form() -> None:
    assert canonical({"b": [1.0, None], "a": "é"}) == '{"a":"é","b":[1,null]}'
    assert digest({"b": [1.0, None], "a": "é"}) == hashlib.sha256('{"a":"é","b":[1,null]}'.encode()).hexdigest()


def test_what_has_no_value_is_left_out_of_mappings_and_not_of_lists() -> None:
    value = {"a": None, "b": {"c": None, "d": 1}, "e": [None, {"f": None}]}
    assert bare(value) == {"b": {"d": 1}, "e": [None, {"f": None}]}


def test_a_tuple_is_a_list_and_anything_else_is_a_mistake_of_ours() -> None:
    assert canonical((1, 2)) == "[1,2]"
    with pytest.raises(TypeError, match="is not JSON data"):
        canonical({1, 2})


@pytest.mark.parametrize("number", [2**53 + 1, -(10**400), float("nan"), float("-inf")])
def test_a_number_that_json_would_round_is_refused(number: float) -> None:
    """One of more than 308 digits is not even a float."""
    with pytest.raises(SpecError, match="is beyond"):
        canonical(number)
