"""The fuzzer: its inputs get past the first check, and it reports a fault."""

import re
from pathlib import Path

import pytest

from tests.fuzz.__main__ import fuzz
from tests.fuzz.targets import Target, targets

ROOT = Path(__file__).parents[2]


@pytest.fixture
def table(tmp_path: Path) -> dict[str, Target]:
    return dict(targets(tmp_path))


def test_the_page_about_reliability_names_each_target(table: dict[str, Target]) -> None:
    text = (ROOT / "docs" / "reliability.md").read_text("utf-8").partition("### Runs")[0]
    rows = re.findall(r"^\| (`.+?) \|", text, re.MULTILINE)
    assert sorted(name for row in rows for name in re.findall("`(.+?)`", row)) == sorted(table)


def test_each_target_takes_its_samples(table: dict[str, Target]) -> None:
    for target in table.values():
        for sample in target.samples:
            target.parse(sample)


def test_each_target_gets_inputs_that_it_takes_and_others_that_it_refuses(table: dict[str, Target]) -> None:
    for name, target in table.items():
        tried, taken = fuzz(target, count=150, number=3)
        assert tried >= 150, name
        assert 0 < taken < tried, name


def test_an_exception_that_is_no_refusal_is_a_fault() -> None:
    def parse(raw: bytes) -> None:
        if raw[:1] == b"a":
            raise ValueError("y")
        raise KeyError("x")

    target = Target(samples=(b"a",), json=False, parse=parse, refuses=(ValueError,))
    with pytest.raises(KeyError):
        fuzz(target, count=1000, number=1)
