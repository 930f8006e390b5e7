"""`make audit` looks at every pinned package, and every exception says why."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
REQUIREMENTS = ROOT / "requirements"
PINNED = sorted(path for path in REQUIREMENTS.glob("*.txt") if path.name != "audit-exceptions.txt")


def lines(path: Path) -> list[str]:
    """Return the lines of a list, without comments and hashes."""
    every = path.read_text("utf-8").splitlines()
    return [line.removesuffix(" \\") for line in every if line and not line.startswith(("#", "    --hash="))]


@pytest.fixture
def audit(tmp_path: Path) -> Path:
    """A folder with the Makefile, and a pip-audit that prints its arguments."""
    shutil.copy(ROOT / "Makefile", tmp_path)
    shutil.copytree(REQUIREMENTS, tmp_path / "requirements")
    program = tmp_path / ".venv" / "audit" / "bin" / "pip-audit"
    program.parent.mkdir(parents=True)
    program.write_text('#!/bin/sh\necho "$@"\n[ -z "$FAULT" ] || exit 1\n', "utf-8")
    program.chmod(0o755)
    return tmp_path


def run(audit: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    words = ["make", "-o", ".venv/audit/.complete", "audit"]
    environ = {"PATH": "/usr/bin:/bin", **environment}
    return subprocess.run(words, cwd=audit, env=environ, capture_output=True, text=True, timeout=60, check=False)


def test_both_databases_are_asked_about_every_pinned_package(audit: Path) -> None:
    ran = run(audit)
    assert ran.returncode == 0, ran.stderr
    asked = [line.split() for line in ran.stdout.splitlines() if line.startswith("--strict")]
    assert all("--require-hashes" in words for words in asked)
    pairs = [(words[words.index("--vulnerability-service") + 1], words[words.index("-r") + 1]) for words in asked]
    assert sorted(pairs) == [(service, f"requirements/{path.name}") for service in ("osv", "pypi") for path in PINNED]


def test_two_lists_with_different_versions_of_a_package_are_asked_about_one_by_one(audit: Path) -> None:
    """pip-audit ends with an error otherwise, before it has asked."""
    asked = [line.split() for line in run(audit).stdout.splitlines() if line.startswith("--strict")]
    assert [words.count("-r") for words in asked] == [1] * 2 * len(PINNED)


def test_an_exception_is_passed_over_and_a_comment_is_none(audit: Path) -> None:
    exceptions = audit / "requirements" / "audit-exceptions.txt"
    exceptions.write_text(
        "# GHSA-0000-0000-0000  x: not this one\nGHSA-aaaa-bbbb-cccc  numpy: why (2026-01-01)\n", "utf-8"
    )
    for line in (line for line in run(audit).stdout.splitlines() if line.startswith("--strict")):
        assert re.findall(r"--ignore-vuln (\S+)", line) == ["GHSA-aaaa-bbbb-cccc"]


def test_a_vulnerability_fails_the_audit(audit: Path) -> None:
    assert run(audit, FAULT="1").returncode != 0


@pytest.mark.parametrize("path", PINNED, ids=lambda path: path.stem)
def test_every_package_has_one_version(path: Path) -> None:
    """Only then can it be looked up without installing anything."""
    assert [
        line for line in lines(path) if not re.fullmatch(r"[A-Za-z0-9._-]+(\[[a-z,]+\])?==[A-Za-z0-9.+!]+", line)
    ] == []


def test_every_exception_has_an_id_a_package_a_reason_and_a_date() -> None:
    for line in lines(REQUIREMENTS / "audit-exceptions.txt"):
        assert re.fullmatch(r"[A-Z]+-[-A-Za-z0-9]+ +[A-Za-z0-9._-]+: .+ \(\d{4}-\d{2}-\d{2}\)", line), line
