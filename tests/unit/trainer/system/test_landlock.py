"""What may not be read cannot be read, by no way round; all else can. Each case is a process of its own."""

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest

from trainer.system import landlock

CODE = """
import json, os, subprocess, sys
from pathlib import Path
from trainer.system import landlock

def read(path):
    try:
        return Path(path).read_text()
    except OSError as error:
        return type(error).__name__

held = landlock.forbid_reading(map(Path, json.loads(sys.argv[1])))
found = {path: read(path) for path in json.loads(sys.argv[2])}
child = subprocess.run(["cat", *json.loads(sys.argv[2])[:1]], capture_output=True, text=True).stdout
print(json.dumps({"held": held, "found": found, "child": child}))
"""


def confined(forbidden: list[Path], wanted: list[Path | str]) -> Any:
    words = [json.dumps([str(path) for path in paths]) for paths in (forbidden, wanted)]
    done = subprocess.run([sys.executable, "-c", CODE, *words], capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    folder = tmp_path / "home" / "keys"
    folder.mkdir(parents=True)
    (folder / "credentials").write_text("s3cr3t")
    (tmp_path / "home" / "data").mkdir()
    (tmp_path / "home" / "data" / "page.txt").write_text("a page")
    (tmp_path / "home" / "link").symlink_to(folder)
    (tmp_path / "around").symlink_to(folder / "credentials")
    return folder


def test_a_forbidden_folder_is_read_by_no_way_round_and_what_is_beside_it_is(keys: Path, tmp_path: Path) -> None:
    secret = keys / "credentials"
    ways = [secret, tmp_path / "home" / "link" / "credentials", tmp_path / "around", f"/proc/self/root{secret}"]
    seen = confined([keys], [*ways, tmp_path / "home" / "data" / "page.txt", "/proc/self/comm"])
    assert seen["held"] is landlock.available()
    expected = "PermissionError" if landlock.available() else "s3cr3t"
    assert [seen["found"][str(way)] for way in ways] == [expected] * 4
    assert seen["child"] == ("" if landlock.available() else "s3cr3t"), "what it starts is confined, too"
    assert seen["found"][str(tmp_path / "home" / "data" / "page.txt")] == "a page"
    assert seen["found"]["/proc/self/comm"]


def test_a_forbidden_file_leaves_its_folder_readable(keys: Path) -> None:
    (keys / "config").write_text("region")
    seen = confined([keys / "credentials"], [keys / "credentials", keys / "config"])
    assert seen["found"][str(keys / "config")] == "region"
    assert (seen["found"][str(keys / "credentials")] == "s3cr3t") is not landlock.available()


def test_a_link_that_is_forbidden_forbids_what_it_leads_to(keys: Path, tmp_path: Path) -> None:
    """As Kubernetes mounts a Secret: the file is a link into a folder that changes its name."""
    seen = confined([tmp_path / "around"], [keys / "credentials"])
    assert (seen["found"][str(keys / "credentials")] == "s3cr3t") is not landlock.available()


def test_what_does_not_exist_forbids_nothing(keys: Path, tmp_path: Path) -> None:
    seen = confined([tmp_path / "gone"], [keys / "credentials"])
    assert (seen["held"], seen["found"][str(keys / "credentials")]) == (landlock.available(), "s3cr3t")


AS_ANOTHER = """
import os, sys
from pathlib import Path
from trainer.system import landlock
if os.getuid() == 0:  # root may search everything
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
held = landlock.forbid_reading([Path(sys.argv[1])])
try:
    print(held, Path(sys.argv[1], "credentials").read_text())
except PermissionError:
    print(held, "PermissionError")
"""


@pytest.mark.parametrize("mode", [0o000, 0o111], ids=["not searched", "not listed"])
def test_a_home_that_is_not_this_users_does_not_keep_a_process_from_starting(mode: int) -> None:
    with tempfile.TemporaryDirectory() as around:
        home = Path(around, "home")
        (home / "keys").mkdir(parents=True)
        (home / "keys" / "credentials").write_text("s3cr3t")
        Path(around).chmod(0o755)
        home.chmod(mode)
        try:
            words = [sys.executable, "-c", AS_ANOTHER, str(home / "keys")]
            done = subprocess.run(words, capture_output=True, text=True, check=True)
        finally:
            home.chmod(0o755)
    expected = "PermissionError" if landlock.available() or not mode else "s3cr3t"
    assert done.stdout == f"{landlock.available()} {expected}\n"


def test_a_process_is_confined_where_nothing_is_forbidden_too(tmp_path: Path) -> None:
    """Or it could look into its parent, which has keys in its environment."""
    seen = confined([tmp_path / "no-such-file"], ["/"])
    assert seen["held"] is landlock.available()
    assert seen["found"]["/"] == ("PermissionError" if landlock.available() else "IsADirectoryError")
