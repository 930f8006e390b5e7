"""The parts of the suite that are too slow for `make test`: list them, choose one for a commit, run one.

    python -m tests.parts              # the table of tests/parts.toml
    python -m tests.parts run [NAME]   # the one that is named, else the one of the head commit

CI runs one part a commit: the one that the trailer `CI-part: NAME` of the head commit names, else one by the commit's
digest, so that each gets its turn.
"""

import argparse
import os
import subprocess
import sys
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[1]
TRAILER: Final = "CI-part"


@dataclass(frozen=True, kw_only=True)
class Part:
    """A row of tests/parts.toml."""

    about: str
    make: str
    """Target of the Makefile."""

    minutes: float
    """How long it last took on two cores, with its programs and images built."""

    files: tuple[str, ...] = ()

    @property
    def command(self) -> list[str]:
        """Return the command that runs it."""
        return ["make", self.make, *([f"FILES={' '.join(self.files)}"] if self.files else [])]


def read(path: Path = ROOT / "tests" / "parts.toml") -> dict[str, Part]:
    """Read the table."""
    rows = tomllib.loads(path.read_text("utf-8"))
    return {name: Part(**{**row, "files": tuple(row.get("files", ()))}) for name, row in rows.items()}


def choose(parts: Sequence[str], *, digest: str, trailers: Sequence[str]) -> str:
    """Return the part for a commit.

    Args:
        parts: names of all parts.
        digest: of the commit, in hexadecimal.
        trailers: values of its `CI-part` trailers.

    Raises:
        SystemExit: there is more than one trailer, or its part does not exist.
    """
    if not trailers:
        return sorted(parts)[int(digest, 16) % len(parts)]
    if len(trailers) > 1 or trailers[0] not in parts:
        raise SystemExit(
            f"{TRAILER}: {', '.join(trailers)} is not one of the parts: {', '.join(sorted(parts))}. Amend the commit."
        )
    return trailers[0]


def of_head(parts: Sequence[str], *, folder: Path = ROOT) -> str:
    """Return the part for the commit that is checked out in a folder."""
    form = f"--format=%H%n%(trailers:key={TRAILER},valueonly)"
    git = ["git", "-C", str(folder), "log", "-1", form]
    digest, *trailers = subprocess.run(git, check=True, capture_output=True, text=True).stdout.split()
    return choose(parts, digest=digest, trailers=trailers)


def table(parts: Mapping[str, Part]) -> str:
    """Return the parts as a table."""
    width = max(map(len, parts))
    return "\n".join(f"{name:{width}}  {part.minutes:>3.0f} min  {part.about}" for name, part in sorted(parts.items()))


def main() -> int:
    """List the parts, or run one."""
    parser = argparse.ArgumentParser(prog="parts", description="The slow parts of the test suite.")
    parser.add_argument("action", nargs="?", choices=("list", "run"), default="list")
    parser.add_argument("name", nargs="?", help="a part; else the one of the head commit")
    arguments = parser.parse_args()
    parts = read()
    if arguments.action == "list":
        print(table(parts))
        return 0
    name = choose(list(parts), digest="0", trailers=[arguments.name]) if arguments.name else of_head(list(parts))
    print(f"part {name}: {parts[name].about}", file=sys.stderr, flush=True)
    # A `make` of ours would hand its own flags down.
    environment = {key: value for key, value in os.environ.items() if key not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS")}
    return subprocess.run(parts[name].command, cwd=ROOT, env=environment, check=False).returncode


if __name__ == "__main__":
    raise SystemExit(main())
