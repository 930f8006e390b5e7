"""The table of the slow parts is whole: no test file of theirs is left out of CI, and none runs twice."""

import tomllib
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PARTS = tomllib.loads((ROOT / "tests" / "parts.toml").read_text("utf-8"))


def test_each_test_file_of_the_cluster_is_in_exactly_one_part() -> None:
    listed = Counter(file for part in PARTS.values() for file in part.get("files", ()))
    there = {str(path.relative_to(ROOT)) for path in (ROOT / "tests" / "cluster").rglob("test_*.py")}
    assert there - listed.keys() == set(), "these would run in no part"
    assert {file for file in listed if not (ROOT / file).exists()} == set()
    assert {file for file, count in listed.items() if count > 1} == set()


@pytest.mark.parametrize("name", PARTS)
def test_a_part_names_a_target_of_the_makefile_and_the_minutes_it_takes(name: str) -> None:
    part = PARTS[name]
    assert f"\n{part['make']}:" in (ROOT / "Makefile").read_text("utf-8")
    assert 0 < part["minutes"] <= 30, "a part must fit into a run of CI"
    assert part["about"]
