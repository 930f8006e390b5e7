"""`make verify` fails when what is generated is not what is committed, and when git cannot tell."""

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

MAKEFILE = Path(__file__).parents[2] / "Makefile"
PAGE = "docs/reference/page.md"
Verify = Callable[..., subprocess.CompletedProcess[str]]


def program(path: Path, script: str) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


@pytest.fixture
def verify(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Verify:
    """A repository with one generated page, and a generator that runs a line of shell."""
    repository = tmp_path / "repository"
    (repository / PAGE).parent.mkdir(parents=True)
    (repository / PAGE).write_text("as committed\n")
    shutil.copy(MAKEFILE, repository)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    # Those of a hook that runs the tests would name another repository, and those of make other options.
    for name in [each for each in os.environ if each in ("GIT_DIR", "GIT_INDEX_FILE", "MAKEFLAGS", "MAKELEVEL")]:
        monkeypatch.delenv(name)
    author = ("-c", "user.name=a", "-c", "user.email=a@example.com")
    for words in (("init", "-q"), ("add", "docs"), (*author, "commit", "-q", "-m", "a")):
        subprocess.run(["git", *words], cwd=repository, check=True)

    def run(generator: str, *, git: str = "") -> subprocess.CompletedProcess[str]:
        program(tmp_path / "bin" / "python", generator)
        if git:
            program(tmp_path / "path" / "git", git)
        path = f"{tmp_path / 'path'}:{os.environ['PATH']}"
        words = ["make", "-o", "setup", "verify", f"BIN={tmp_path / 'bin'}", "PYTHON=python3"]
        environment = {**os.environ, "PATH": path}
        return subprocess.run(words, cwd=repository, env=environment, capture_output=True, text=True, timeout=60)

    return run


def test_what_is_generated_as_committed_passes(verify: Verify) -> None:
    ran = verify(f"echo as committed > {PAGE}")
    assert ran.returncode == 0, ran.stderr


@pytest.mark.parametrize(
    ("generator", "shown"),
    [
        (f"echo otherwise > {PAGE}", "+otherwise"),
        (f"rm {PAGE}", "-as committed"),
        ("touch docs/reference/new.md", "docs/reference/new.md"),
        (f"echo otherwise > {PAGE}; git add {PAGE}", "+otherwise"),
        ("exit 3", ""),
    ],
    ids=["changed", "gone", "new", "changed and staged", "the generator fails"],
)
def test_what_differs_from_what_is_committed_fails_and_is_shown(verify: Verify, generator: str, shown: str) -> None:
    ran = verify(generator)
    assert ran.returncode != 0
    assert shown in ran.stdout
    assert ("differs from what is committed" in ran.stderr) == bool(shown)


def test_a_git_that_fails_is_no_proof(verify: Verify) -> None:
    ran = verify("exit 0", git="exit 128")
    assert ran.returncode != 0
    assert "Without git" in ran.stderr
