"""Uninstall what training has no use for: the lock is one list, for development too.

    python prune.py wanted.txt

What the requirements of `wanted.txt` lead to stays, over all dependencies, and so do pip and setuptools.
"""

import subprocess
import sys
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, distribution, distributions
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name


def needed(roots: Iterable[str]) -> set[str]:
    """Give the names of all packages that these requirements lead to; one that is not installed leads nowhere."""
    waiting = [Requirement(root) for root in roots]
    seen: set[tuple[str, str]] = set()
    while waiting:
        wanted = waiting.pop()
        for extra in {"", *wanted.extras}:
            if (known := (canonicalize_name(wanted.name), extra)) not in seen:
                seen.add(known)
                waiting += _requires(wanted.name, extra)
    return {name for name, _ in seen}


def _requires(name: str, extra: str) -> list[Requirement]:
    try:
        found = [Requirement(line) for line in distribution(name).requires or ()]
    except PackageNotFoundError:
        return []
    return [each for each in found if each.marker is None or each.marker.evaluate({"extra": extra})]


def main(wanted: Path) -> None:
    """Uninstall all that is not needed."""
    keep = needed(["pip", "setuptools", *wanted.read_text("utf-8").splitlines()])
    spare = sorted({canonicalize_name(each.name) for each in distributions()} - keep)
    if spare:
        subprocess.run([sys.executable, "-m", "pip", "uninstall", "--yes", *spare], check=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
