"""Where pulled files land: whole or not at all, and known again."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.unit.trainer.storage.made import tree
from trainer.errors import SpecError
from trainer.storage import Store


def test_a_pull_that_was_killed_goes_on_where_it_was(store: Store, tmp_path: Path) -> None:
    for number in range(10):
        store.put(f"{number}", b"12345678")
    code = (
        "import os, pathlib, sys; from trainer.storage import open_store\n"
        "die = lambda done, total: done >= 56 and os.kill(os.getpid(), 9)\n"
        "open_store(sys.argv[1]).pull(None, pathlib.Path(sys.argv[2]), die)"
    )
    done = subprocess.run([sys.executable, "-c", code, store.uri, str(tmp_path / "dest")], check=False, timeout=30)
    assert done.returncode == -9
    assert store.pull(None, tmp_path / "dest").moved_files == 3
    assert len(tree(tmp_path / "dest")) == 10


def test_what_is_known_of_a_folder_is_one_line_for_each_file_in_it(store: Store, tmp_path: Path) -> None:
    for content in (b"1", b"22"):
        store.put("x", content)
        store.pull(None, tmp_path / "dest")
    (note,) = (tmp_path / ".dest.pulled.jsonl").read_text("utf-8").splitlines()
    assert json.loads(note)["size"] == 2


def test_an_object_is_found_with_its_etag(store: Store) -> None:
    store.put("x", b"1")
    assert store.find("x") == store.read("x")
    assert store.find("y") is None


@pytest.mark.parametrize("damage", ["changed", "removed", "same size"])
def test_a_pulled_file_that_was_damaged_is_brought_again(store: Store, tmp_path: Path, damage: str) -> None:
    store.put("x", b"right")
    store.pull(None, tmp_path / "dest")
    copy = tmp_path / "dest" / "x"
    copy.unlink() if damage == "removed" else copy.write_bytes(b"wrong!" if damage == "changed" else b"wrong")
    assert store.pull(None, tmp_path / "dest").moved_files == 1
    assert copy.read_bytes() == b"right"


def test_a_folder_linked_out_of_the_destination_is_not_written_through(store: Store, tmp_path: Path) -> None:
    store.put("sub/x", b"1")
    (tmp_path / "dest").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "dest" / "sub").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(SpecError, match="is a link that leads out of"):
        store.pull(None, tmp_path / "dest")
    assert tree(tmp_path / "elsewhere") == {}
