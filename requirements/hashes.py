"""Write the hashes of all files of a release, for every platform, under each pinned version.

    python hashes.py lock.txt overlay.txt

Hashes already in a list are replaced. Comments, order and versions stay. Needs the packages uv and packaging.
"""

import re
import subprocess
import sys
from pathlib import Path

from packaging.utils import canonicalize_name

_INDENT = " \\\n    --hash="


def with_hashes(text: str, compiled: str) -> str:
    """Return a list with new hashes.

    Args:
        text: the list, with old hashes or none.
        compiled: the same pins as uv prints them: with hashes, but sorted, renamed and without comments.
    """
    name, hashes = "", dict[str, list[str]]()
    for line in compiled.splitlines():
        if found := re.search(r"--hash=(\S+)", line):
            hashes[name].append(found[1])
        elif "==" in line:
            name = _name(line)
            hashes[name] = []
    pins = re.sub(re.escape(_INDENT) + r"\S+", "", text)
    return "".join(
        _INDENT.join([line, *hashes[_name(line)]]) + "\n" if "==" in line and not line.startswith("#") else f"{line}\n"
        for line in pins.splitlines()
    )


def _name(pin: str) -> str:
    return canonicalize_name(pin.partition("==")[0])


def main(lists: list[Path]) -> int:
    """Ask the package index for hashes; return uv's exit code if a version is not there."""
    words = [sys.executable, "-m", "uv", "pip", "compile", "--quiet", "--no-deps", "--generate-hashes"]
    for path in lists:
        options = ["--no-header", "--no-annotate", "--python", sys.executable, str(path)]
        compiled = subprocess.run([*words, *options], stdout=subprocess.PIPE, text=True, check=False)
        if compiled.returncode:
            return compiled.returncode
        path.write_text(with_hashes(path.read_text("utf-8"), compiled.stdout), "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main([Path(each) for each in sys.argv[1:]]))
