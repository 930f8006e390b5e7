"""A writer that is killed before and after each thing it asks of the system; test_atomic.py runs it, since it forks.

python killed.py CASE FOLDER        prints a list of {"step", "found", "names", "left"}: one item a kill
"""

import io
import itertools
import json
import os
import resource
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

from trainer.storage.files import FileStore
from trainer.system import atomic

OLD, NEW = "old", "new" * 1000
NAMES = ("a", "b")
FSYNC = os.fsync


def write(path: Path, content: str) -> None:
    atomic.write(path, content)


def put(path: Path, content: str) -> None:
    FileStore(path.parent).put(path.name, content.encode())


def create(path: Path, content: str) -> None:
    with atomic.temporary(path, prefix=".mine-") as new:
        new.write_text(content)
        atomic.create(new, path)


def fill(path: Path, content: str) -> None:
    with atomic.folder(path) as new:
        for name in NAMES:
            (new / name).write_text(content)


def fill_in_two_renames(path: Path, content: str) -> None:
    atomic.exchange = lambda one, other: False
    fill(path, content)


CASES: dict[str, Callable[[Path, str], None]] = {
    "write": write,
    "put": put,
    "create": create,
    "folder": fill,
    "folder, no exchange": fill_in_two_renames,
}


def found(path: Path) -> str:
    """Name what a reader finds at a path."""
    if path.is_dir():
        names = sorted(inner.name for inner in path.iterdir())
        contents = {(path / name).read_text() for name in names}
        whole = names == sorted(NAMES) and len(contents) == 1
        content = contents.pop() if whole else ""
    elif path.exists():
        content = path.read_text()
    else:
        return "nothing"
    return {OLD: "old", NEW: "new"}.get(content, "neither")


def asks_the_system(function: Any) -> bool:
    if function.__name__ in ("fspath", "_path_normpath", "text_encoding"):
        return False
    return function.__module__ in ("posix", "_io", "io") or isinstance(function.__self__, io.IOBase)


def die_at(number: int, tell: int) -> None:
    """Kill this process at the n-th beginning or end of a call to the system, after naming it."""
    calls = itertools.count(1)

    def look(frame: FrameType, event: str, function: Any) -> None:
        if event in ("c_call", "c_return") and asks_the_system(function) and next(calls) == number:
            os.write(tell, f"{'before' if event == 'c_call' else 'after'} {function.__name__}".encode())
            os.kill(os.getpid(), signal.SIGKILL)

    sys.setprofile(look)


def die_in_the_middle(tell: int) -> None:
    """Let the kernel kill this process when half of the content is written."""
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.write(tell, b"in the middle of write")
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(NEW) // 2, len(NEW) // 2))


def killed(deed: Callable[[], None], prepare: Callable[[int], None]) -> str | None:
    """Do something in a process that is killed on the way, and name the step; None when it came to its end."""
    read, tell = os.pipe()
    child = os.fork()
    if not child:
        os.fsync = FSYNC
        prepare(tell)
        deed()
        os._exit(0)
    os.close(tell)
    _, status = os.waitpid(child, 0)
    with os.fdopen(read) as stream:
        step = stream.read()
    if os.WIFSIGNALED(status):
        return step
    assert os.WEXITSTATUS(status) == 0
    return None


def main(case: str, folder: Path) -> None:
    path, deed = folder / "x", CASES[case]
    # Only who is killed needs to wait for the disk.
    os.fsync = lambda descriptor: None
    rows = []
    for number in itertools.count():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        if case != "create":
            deed(path, OLD)
        step = killed(
            lambda: deed(path, NEW), die_in_the_middle if number == 0 else lambda tell, n=number: die_at(n, tell)
        )
        if step is None:
            break
        row = {"step": step, "found": found(path), "names": {each.name: found(each) for each in folder.iterdir()}}
        deed(path, NEW)
        assert found(path) == "new", row
        rows.append({**row, "left": sorted(each.name for each in folder.iterdir())})
    print(json.dumps(rows))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
