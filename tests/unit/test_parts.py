"""The parts of the suite that CI runs one of: none is left out, and a commit can name its own."""

import subprocess
from collections import Counter
from pathlib import Path

import pytest

from tests import parts

ROOT = parts.ROOT
PARTS = parts.read()


def test_each_test_file_that_make_test_leaves_out_is_in_exactly_one_part() -> None:
    listed = Counter(file for part in PARTS.values() for file in part.files)
    of_cluster = (ROOT / "tests" / "cluster").rglob("test_*.py")
    slow = (path for path in (ROOT / "tests" / "e2e").rglob("test_*.py") if "mark.slow" in path.read_text("utf-8"))
    there = {str(path.relative_to(ROOT)) for path in (*of_cluster, *slow)}
    assert there - listed.keys() == set(), "these would run in no part"
    assert {file for file in listed if not (ROOT / file).exists()} == set()
    assert {file for file, count in listed.items() if count > 1} == set()


@pytest.mark.parametrize("name", PARTS)
def test_a_part_names_a_target_of_the_makefile_and_the_minutes_it_takes(name: str) -> None:
    part = PARTS[name]
    assert f"\n{part.make}:" in (ROOT / "Makefile").read_text("utf-8")
    assert 0 < part.minutes <= 30, "a part must fit into a run of CI"
    assert part.about


def test_each_part_gets_its_turn_by_the_digest() -> None:
    names = sorted(PARTS)
    assert [parts.choose(names, digest=f"{number:040x}", trailers=[]) for number in range(len(names))] == names


def test_a_trailer_names_the_part_and_an_unknown_one_is_refused() -> None:
    assert parts.choose(list(PARTS), digest="0", trailers=["demo"]) == "demo"
    with pytest.raises(SystemExit, match="CI-part: dmeo is not one of the parts: algorithms, cluster-"):
        parts.choose(list(PARTS), digest="0", trailers=["dmeo"])
    with pytest.raises(SystemExit, match="demo, receipts is not one of"):
        parts.choose(list(PARTS), digest="0", trailers=["demo", "receipts"])


@pytest.mark.parametrize("body", ["", "CI-part: receipts"])
def test_the_head_commit_is_asked(body: str, tmp_path: Path) -> None:
    def git(*words: str) -> str:
        who = ("-c", "user.name=a", "-c", "user.email=a@b.c")
        return subprocess.run(["git", "-C", tmp_path, *who, *words], check=True, capture_output=True, text=True).stdout

    git("init", "-q")
    git("commit", "-q", "--allow-empty", "-m", "An older one", "-m", "CI-part: demo")
    git("commit", "-q", "--allow-empty", "-m", "The head", *(("-m", body) if body else ()))
    by_digest = parts.choose(list(PARTS), digest=git("rev-parse", "HEAD").strip(), trailers=[])
    assert parts.of_head(list(PARTS), folder=tmp_path) == ("receipts" if body else by_digest)


def test_the_table_has_a_line_for_each_part() -> None:
    lines = parts.table(PARTS).splitlines()
    assert [line.split()[0] for line in lines] == sorted(PARTS)
