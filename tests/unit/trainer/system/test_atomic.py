"""Files are there whole or not at all: through kills, errors, a full disk, and (being flushed) a power cut."""

import ast
import errno
import functools
import json
import os
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.unit.trainer.system.full import full_beyond
from trainer.errors import StoppedError
from trainer.system import atomic

ROOT = Path(__file__).parents[4]


Kills = Callable[[str], list[dict[str, Any]]]


@pytest.fixture(scope="module")
def kills(tmp_path_factory: pytest.TempPathFactory) -> Kills:
    """Tell what was there after each kill of a writer, see killed.py."""

    @functools.cache
    def run(case: str) -> list[dict[str, Any]]:
        folder = tmp_path_factory.mktemp("killed") / "folder"
        command = [sys.executable, str(Path(__file__).with_name("killed.py")), case, str(folder)]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
        assert done.returncode == 0, done.stderr
        return list(json.loads(done.stdout))

    return run


@pytest.mark.parametrize(
    ("case", "before", "in_place"),
    [("write", "old", "replace"), ("put", "old", "replace"), ("create", "nothing", "link"), ("folder", "old", None)],
)
def test_a_writer_killed_at_any_step_leaves_the_old_or_the_new(
    kills: Kills, case: str, before: str, in_place: str | None
) -> None:
    rows = kills(case)
    found = [row["found"] for row in rows]
    assert set(found) == {before, "new"}
    assert found == sorted(found, key=[before, "new"].index), "never back from the new to the old"
    steps = [row["step"] for row in rows]
    assert {"in the middle of write", "before write", "after write", "before fsync", "after fsync"} <= set(steps)
    if in_place:
        first_new = steps[found.index("new")]
        assert first_new == f"after {in_place}"
        # The content was on the disk before, and the name is after.
        assert "after fsync" in steps[: found.index("new")]
        assert "after fsync" in steps[found.index("new") :]


def test_a_kill_in_the_middle_of_writing_was_in_the_middle(kills: Kills) -> None:
    [row] = [row for row in kills("write") if row["step"] == "in the middle of write"]
    assert row["names"] == {"x": "old", ".x.tmp": "neither"}


@pytest.mark.parametrize("case", ["write", "folder", "folder, no exchange"])
def test_the_next_write_removes_what_a_killed_one_left(kills: Kills, case: str) -> None:
    rows = kills(case)
    assert any(len(row["names"]) > 1 for row in rows)
    assert all(row["left"] == ["x"] for row in rows)


def test_what_a_killed_writer_of_a_store_left_is_hidden(kills: Kills) -> None:
    left = {name for row in kills("put") for name in row["left"]}
    assert len(left) > 2
    assert {name for name in left if not name.startswith(".ocrfleet-")} == {"x"}


def test_without_an_exchange_a_kill_leaves_both_folders_whole(kills: Kills) -> None:
    rows = kills("folder, no exchange")
    assert {row["found"] for row in rows} == {"old", "new", "nothing"}
    between = [row["names"] for row in rows if row["found"] == "nothing"]
    assert all(names == {".x.old.tmp": "old", ".x.tmp": "new"} for names in between)


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """What is flushed and renamed, in order."""
    made: list[str] = []
    fsync, replace = os.fsync, os.replace

    def flush(descriptor: int) -> None:
        path = Path(os.readlink(f"/proc/self/fd/{descriptor}"))
        made.append(f"fsync {path.relative_to(tmp_path)}")
        fsync(descriptor)

    def rename(source: Path, target: Path) -> None:
        made.append(f"replace {source.relative_to(tmp_path)} {target.relative_to(tmp_path)}")
        replace(source, target)

    monkeypatch.setattr(os, "fsync", flush)
    monkeypatch.setattr(os, "replace", rename)
    return made


def test_the_content_is_flushed_before_the_rename_and_the_folder_after(tmp_path: Path, calls: list[str]) -> None:
    atomic.write(tmp_path / "x", "text")
    assert calls == ["fsync .x.tmp", "replace .x.tmp x", "fsync ."]


def test_a_file_that_is_created_is_flushed_and_so_is_its_folder(tmp_path: Path, calls: list[str]) -> None:
    (tmp_path / "new").write_text("text")
    assert atomic.create(tmp_path / "new", tmp_path / "x")
    assert calls == ["fsync new", "fsync ."]


def test_every_file_of_a_folder_is_flushed_before_the_rename(tmp_path: Path, calls: list[str]) -> None:
    with atomic.folder(tmp_path / "x") as new:
        (new / "sub").mkdir()
        for name in ("a", "sub/b"):
            (new / name).write_text(name)
    renamed = calls.index("replace .x.tmp x")
    assert set(calls[:renamed]) == {"fsync .x.tmp", "fsync .x.tmp/a", "fsync .x.tmp/sub", "fsync .x.tmp/sub/b"}
    assert calls[renamed + 1 :] == ["fsync ."]


def test_what_need_not_survive_a_power_cut_is_not_flushed(tmp_path: Path, calls: list[str]) -> None:
    with atomic.temporary(tmp_path / "x") as new:
        new.write_text("text")
        atomic.replace(new, tmp_path / "x", durable=False)
    assert calls == ["replace .x.tmp x"]


@pytest.mark.parametrize("error", [StoppedError("now"), KeyboardInterrupt()], ids=["stopped", "interrupted"])
def test_an_error_while_a_file_is_made_leaves_the_old_one_alone(tmp_path: Path, error: BaseException) -> None:
    atomic.write(tmp_path / "x", "old")

    def write() -> None:
        with atomic.temporary(tmp_path / "x") as new:
            new.write_text("half")
            raise error

    with pytest.raises(type(error)):
        write()
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"x": "old"}


def test_an_error_while_a_folder_is_filled_leaves_the_old_one_alone(tmp_path: Path) -> None:
    with atomic.folder(tmp_path / "x") as new:
        (new / "a").write_text("old")

    def fill() -> None:
        with atomic.folder(tmp_path / "x") as new:
            (new / "a").write_text("half")
            raise StoppedError("now")

    with pytest.raises(StoppedError):
        fill()
    assert [path.name for path in tmp_path.iterdir()] == ["x"]
    assert (tmp_path / "x" / "a").read_text() == "old"


def test_a_folder_replaces_all_of_the_other(tmp_path: Path) -> None:
    for names in (("a", "b"), ("b", "c")):
        with atomic.folder(tmp_path / "x") as new:
            for name in names:
                (new / name).write_text(name)
    assert {path.name for path in (tmp_path / "x").iterdir()} == {"b", "c"}


def test_a_folder_that_replaces_another_leaves_its_own_name(tmp_path: Path) -> None:
    for name in ("x", "pulled"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a").write_text(name)
    atomic.replace_folder(tmp_path / "pulled", tmp_path / "x")
    assert [path.name for path in tmp_path.iterdir()] == ["x"]
    assert (tmp_path / "x" / "a").read_text() == "pulled"


def test_a_full_disk_leaves_the_old_content_and_takes_no_space(tmp_path: Path) -> None:
    atomic.write(tmp_path / "x", "old")
    with full_beyond(10), pytest.raises(OSError, match="File too large"):
        atomic.write(tmp_path / "x", "x" * 100)
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"x": "old"}


def refuse(monkeypatch: pytest.MonkeyPatch, number: int, *, kind: Callable[[int], bool]) -> None:
    """Let the disk refuse to flush files or folders."""
    fsync = os.fsync

    def flush(descriptor: int) -> None:
        if kind(os.fstat(descriptor).st_mode):
            raise OSError(number, os.strerror(number))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", flush)


@pytest.mark.parametrize("number", [errno.EIO, errno.ENOSPC, errno.EINVAL])
def test_content_that_does_not_reach_the_disk_is_not_put_in_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """Some file systems look for space only then."""
    atomic.write(tmp_path / "x", "old")
    refuse(monkeypatch, number, kind=stat.S_ISREG)
    with pytest.raises(OSError, match=os.strerror(number)):
        atomic.write(tmp_path / "x", "new")
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"x": "old"}


@pytest.mark.parametrize("number", [errno.EINVAL, errno.ENOTSUP, errno.EACCES])
def test_a_file_system_that_cannot_flush_a_folder_is_no_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    refuse(monkeypatch, number, kind=stat.S_ISDIR)
    atomic.write(tmp_path / "x", "new")
    with atomic.folder(tmp_path / "y") as new:
        (new / "a").write_text("new")
    assert (tmp_path / "x").read_text() == (tmp_path / "y" / "a").read_text() == "new"


def test_a_folder_that_a_broken_disk_does_not_flush_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refuse(monkeypatch, errno.EIO, kind=stat.S_ISDIR)
    with pytest.raises(OSError, match=os.strerror(errno.EIO)):
        atomic.write(tmp_path / "x", "new")


def test_a_file_gets_the_permissions_of_any_new_file(tmp_path: Path) -> None:
    atomic.write(tmp_path / "x", "text")
    (tmp_path / "y").write_text("text")
    assert (tmp_path / "x").stat().st_mode == (tmp_path / "y").stat().st_mode


def test_text_is_written_as_utf8_and_bytes_as_they_are(tmp_path: Path) -> None:
    atomic.write(tmp_path / "x", "né\n")
    assert (tmp_path / "x").read_bytes() == b"n\xc3\xa9\n"
    atomic.write(tmp_path / "x", b"\xff\r\n")
    assert (tmp_path / "x").read_bytes() == b"\xff\r\n"


@pytest.fixture(params=["links", "no links"])
def create(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], bool]:
    """Create tmp_path/x with a content, on a file system with or without hard links."""
    if request.param == "no links":

        def refuse(source: Path, target: Path) -> None:
            raise OSError(errno.EPERM, "Operation not permitted")

        monkeypatch.setattr(os, "link", refuse)

    def do(content: str) -> bool:
        with atomic.temporary(tmp_path / "x", prefix=".mine-") as new:
            new.write_text(content)
            return atomic.create(new, tmp_path / "x")

    return do


def test_a_file_is_created_once(tmp_path: Path, create: Callable[[str], bool]) -> None:
    assert create("first")
    assert not create("second")
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"x": "first"}


def test_a_copy_that_finds_no_space_leaves_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "new").write_text("x" * 100)
    monkeypatch.setattr(atomic, "link", lambda source, target: False)
    with full_beyond(10), pytest.raises(OSError, match="File too large"):
        atomic.create(tmp_path / "new", tmp_path / "x")
    assert not (tmp_path / "x").exists()


def test_nothing_else_renames_or_links_by_hand() -> None:
    """What is renamed without a flush may be empty after a power cut."""
    own = {"trainer/system/atomic.py", "trainer/system/links.py"}
    found = []
    for path in sorted([*ROOT.glob("trainer/**/*.py"), *ROOT.glob("jobs/**/*.py")]):
        name = path.relative_to(ROOT).as_posix()
        if name not in own:
            tree = ast.walk(ast.parse(path.read_text("utf-8")))
            found += [f"{name}:{node.lineno}" for node in tree if isinstance(node, ast.Call) and renames(node)]
    assert found == []


def renames(call: ast.Call) -> bool:
    function = call.func
    if not isinstance(function, ast.Attribute):
        return False
    if isinstance(function.value, ast.Name) and function.value.id in ("os", "shutil"):
        return function.attr in ("replace", "rename", "renames", "link", "move")
    # A text's has two arguments; of a dataclass or a time the fields are named.
    of_path = len(call.args) == 1 and not call.keywords
    return function.attr in ("rename", "hardlink_to", "link_to") or (function.attr == "replace" and of_path)
