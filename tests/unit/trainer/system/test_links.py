"""Hard links, where there can be any."""

from pathlib import Path

import pytest

from trainer.system.links import link


def test_a_link_is_the_file_itself_and_outlives_its_first_name(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_text("content")
    assert link(source, target)
    assert target.samefile(source)
    source.unlink()
    assert target.read_text() == "content"


def test_a_symbolic_link_is_followed_to_its_file(tmp_path: Path) -> None:
    """Else what is linked would lead out of its folder."""
    (tmp_path / "file").write_text("content")
    (tmp_path / "alias").symlink_to("file")
    assert link(tmp_path / "alias", tmp_path / "target")
    assert not (tmp_path / "target").is_symlink()


def test_a_file_that_is_there_is_an_error_and_stays(tmp_path: Path) -> None:
    for name in ("source", "target"):
        (tmp_path / name).write_text(name)
    with pytest.raises(FileExistsError):
        link(tmp_path / "source", tmp_path / "target")
    assert (tmp_path / "target").read_text() == "target"


def test_across_file_systems_there_are_none(tmp_path: Path) -> None:
    """/proc is another one on every Linux."""
    assert link(Path("/proc/version"), tmp_path / "target") is False
    assert list(tmp_path.iterdir()) == []
