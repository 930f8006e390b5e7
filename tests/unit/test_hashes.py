"""Every pinned package has hashes, and every installation checks them."""

import re
import shutil
import subprocess
import tomllib
from importlib.metadata import distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from requirements.hashes import with_hashes
from tests.unit.test_audit import PINNED, REQUIREMENTS, ROOT

MAKEFILE = ROOT / "Makefile"
DOCKERFILE = ROOT / "Dockerfile"
TINY = ROOT / "tests" / "tinytrainer" / "Dockerfile"
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), ROOT / ".ci" / "run"])

HASH = re.compile(r"    --hash=sha256:[0-9a-f]{64}")


def hashes_of_pins(text: str) -> dict[str, list[str]]:
    """Return the hashes of each pin; an unexpected line, or a wrong continuation, is an error."""
    pins: dict[str, list[str]] = {}
    for entry in re.sub(r"^#.*\n", "", text, flags=re.MULTILINE).replace(" \\\n", "\t").splitlines():
        pin, *hashes = entry.split("\t")
        assert re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.+!]+", pin), entry
        assert all(HASH.fullmatch(line) for line in hashes), entry
        pins[pin] = hashes
    return pins


def pins_of(name: str) -> dict[str, list[str]]:
    return hashes_of_pins((REQUIREMENTS / name).read_text("utf-8"))


def name_of(pin: str) -> str:
    return canonicalize_name(pin.partition("==")[0])


def installs(path: Path) -> list[str]:
    """Return the arguments of each `pip install` in a file."""
    text = path.read_text("utf-8").replace("\\\n", " ")
    return [" ".join(each.split()) for each in re.findall(r"pip install ([^;&`\n]+)", text)]


def shell(script: str, folder: Path) -> None:
    """Run a part of a Dockerfile next to copies of the lists."""
    for path in PINNED:
        shutil.copy(path, folder)
    assert script
    subprocess.run(["sh", "-ec", script.replace("\\\n", "")], cwd=folder, check=True, timeout=60)


@pytest.mark.parametrize("path", PINNED, ids=lambda path: path.stem)
def test_every_pin_has_hashes_and_nothing_else_is_in_a_list(path: Path) -> None:
    """No option either: where packages come from is for pip's own settings."""
    pins = pins_of(path.name)
    assert pins
    assert [pin for pin, hashes in pins.items() if not hashes] == []


def test_every_installation_checks_hashes() -> None:
    """A folder is installed without hashes, which pip cannot check, and without fetching what builds it."""
    unchecked = [
        install
        for path in (MAKEFILE, DOCKERFILE, TINY)
        for install in installs(path)
        if "--require-hashes" not in install.split()
    ]
    folders = [install for install in unchecked if install.endswith((" .", " /src"))]
    assert [each for each in folders if not {"--no-deps", "--no-build-isolation"} <= set(each.split())] == []
    assert unchecked == folders


@pytest.mark.parametrize("path", [MAKEFILE, DOCKERFILE, TINY], ids=lambda path: str(path.relative_to(ROOT)))
def test_installations_are_found(path: Path) -> None:
    assert [install for install in installs(path) if "--require-hashes" in install.split()]


def test_no_page_installs_a_list_without_checking_hashes() -> None:
    commands = [(path.name, install) for path in PAGES for install in installs(path)]
    lists = [each for each in commands if re.search(r"(^| )(-r|--requirement|-c|--constraint)[ =]", each[1])]
    assert [each for each in lists if "--require-hashes" not in each[1]] == []


def test_make_hashes_covers_every_list(tmp_path: Path) -> None:
    shutil.copy(MAKEFILE, tmp_path)
    programs = tmp_path / ".venv" / "audit" / "bin"
    programs.mkdir(parents=True)
    for program in ("uv", "python"):
        (programs / program).write_text('#!/bin/sh\necho "$@"\n', "utf-8")
        (programs / program).chmod(0o755)
    environ = {"PATH": "/usr/bin:/bin"}
    words = ["make", "--silent", "hashes"]
    ran = subprocess.run(words, cwd=tmp_path, env=environ, capture_output=True, text=True, timeout=60, check=True)
    script, *lists = ran.stdout.split()
    assert script == "requirements/hashes.py"
    assert sorted(lists) == [f"requirements/{path.name}" for path in PINNED]


def test_the_image_leaves_out_a_package_with_its_hashes(tmp_path: Path) -> None:
    """A hash left behind would count for the package before it."""
    deletions = re.findall(r"sed -i '[^']+' \w+\.txt", DOCKERFILE.read_text("utf-8"))
    shell("\n".join(deletions), tmp_path)
    for name, package in (("lock.txt", "paddlepaddle"), ("overlay.txt", "visualdl")):
        rest = {pin: hashes for pin, hashes in pins_of(name).items() if not pin.startswith(f"{package}==")}
        assert len(rest) == len(pins_of(name)) - 1
        assert hashes_of_pins((tmp_path / name).read_text("utf-8")) == rest


def test_the_tiny_trainers_packages_are_pinned_and_complete(tmp_path: Path) -> None:
    """Complete: what the project and these packages depend on. Those of the overlay go without, by design."""
    [script] = re.findall(r'names="[^"]+";.*?> needed\.txt', TINY.read_text("utf-8"), flags=re.DOTALL)
    shell(script, tmp_path)
    lock, overlay = pins_of("lock.txt"), pins_of("overlay.txt")
    pins = hashes_of_pins((tmp_path / "needed.txt").read_text("utf-8"))
    assert pins.items() <= {**lock, **overlay}.items()
    assert len(pins) == len(script.partition(";")[0].replace("\\\n", "").split())
    needs = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["dependencies"]
    needs += [need for pin in pins.keys() - overlay.keys() for need in distribution(name_of(pin)).requires or ()]
    needed = [need for need in map(Requirement, needs) if not need.marker or need.marker.evaluate({"extra": ""})]
    assert {canonicalize_name(need.name) for need in needed} <= {name_of(pin) for pin in pins}


def test_new_hashes_replace_old_ones_and_comments_order_and_spelling_stay() -> None:
    text = (
        "# Why.\nPyYAML==6.0\n"
        "ruamel.yaml==0.2 \\\n    --hash=sha256:old \\\n    --hash=sha256:older\n# Of a==1.\nb==1\n"
    )
    compiled = (
        "b==1 \\\n    --hash=sha256:b\n"
        "pyyaml==6.0 \\\n    --hash=sha256:p \\\n    --hash=sha256:q\n"
        "ruamel-yaml==0.2 \\\n    --hash=sha256:r\n"
    )
    assert with_hashes(text, compiled) == (
        "# Why.\nPyYAML==6.0 \\\n    --hash=sha256:p \\\n    --hash=sha256:q\n"
        "ruamel.yaml==0.2 \\\n    --hash=sha256:r\n# Of a==1.\nb==1 \\\n    --hash=sha256:b\n"
    )
