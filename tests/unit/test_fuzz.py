"""The fuzzer: its inputs get past the first check, and it reports a fault."""

from pathlib import Path

import pytest
from hypothesis import strategies as st

from tests import fuzz
from tests.fuzz import Target


@pytest.fixture
def table(tmp_path: Path) -> dict[str, Target]:
    return dict(fuzz.targets(tmp_path))


def test_each_target_gets_inputs_that_it_takes_and_others_that_it_refuses(table: dict[str, Target]) -> None:
    for name, target in table.items():
        tried, taken = fuzz.fuzz(target, count=150, number=3)
        assert tried >= 150, name
        assert 0 < taken < tried, name


def test_an_exception_that_is_no_refusal_is_a_fault() -> None:
    def parse(value: int) -> None:
        if value > 10:
            raise KeyError("x")
        if value > 5:
            raise ValueError("y")

    target = Target(inputs=st.integers(0, 100), parse=parse, refuses=(ValueError,))
    with pytest.raises(KeyError):
        fuzz.fuzz(target, count=1000, number=1)
