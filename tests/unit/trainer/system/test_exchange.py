"""Two paths that change places."""

from pathlib import Path

from trainer.system.exchange import exchange


def test_two_folders_change_places_whole_or_stay(tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other é"
    for folder in (one, other):
        folder.mkdir()
        (folder / "name").write_text(folder.name)
    after = {one: other.name, other: one.name} if exchange(one, other) else {one: one.name, other: other.name}
    assert {folder: (folder / "name").read_text() for folder in (one, other)} == after


def test_where_one_of_them_is_missing_the_other_stays(tmp_path: Path) -> None:
    there = tmp_path / "there"
    there.write_text("kept")
    assert exchange(there, tmp_path / "missing") is False
    assert there.read_text() == "kept"
    assert [path.name for path in tmp_path.iterdir()] == ["there"]
