"""What is built for the cluster is built again only when its own source has changed."""

from pathlib import Path

import pytest

from tests.cluster.machine import programs


@pytest.fixture
def built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A Go that only writes down what it has built; the sources are in the folder `source`."""
    source = tmp_path / "source"
    for name in ("go.mod", "go.sum", "tiny/main.go", "coredns/main.go"):
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_text(name, "utf-8")
    names: list[str] = []

    def go(*words: str) -> str:
        target = Path(words[words.index("-o") + 1])
        target.touch()
        names.append(target.name)
        return ""

    monkeypatch.setattr(programs, "CACHE", tmp_path / "cache")
    monkeypatch.setattr(programs, "PROGRAMS", source)
    monkeypatch.setattr(programs, "call_go", go)
    monkeypatch.setattr(programs, "version", lambda module: "v1.2.3")
    programs.build(programs.ALL)
    assert names == list(programs.ALL)
    names.clear()
    return names


def test_nothing_is_built_twice(built: list[str]) -> None:
    programs.build(programs.ALL)
    assert built == []


def test_an_edit_of_one_of_our_programs_builds_that_one_alone(built: list[str], tmp_path: Path) -> None:
    (tmp_path / "source" / "tiny" / "main.go").write_text("edited", "utf-8")
    assert programs.missing(programs.ALL) == ["tiny"]
    programs.build(programs.ALL)
    assert built == ["tiny"]
    assert programs.missing(programs.ALL) == []


def test_another_version_builds_all_and_removes_what_was_built_of_the_old_ones(
    built: list[str], tmp_path: Path
) -> None:
    old = programs.folder()
    (tmp_path / "source" / "go.sum").write_text("moved", "utf-8")
    programs.build(programs.ALL)
    assert built == list(programs.ALL)
    assert not old.exists()
