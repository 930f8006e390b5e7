"""What the pages say is so: links lead somewhere, job files load, commands exist."""

import copy
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from jobs import cli
from jobs.jobfile import model as jobfile
from tests.chart.test_ids import id_in_python
from trainer import recipes
from trainer.contract import ExitCode

ROOT = Path(__file__).parents[2]
MAKEFILE = (ROOT / "Makefile").read_text("utf-8")
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *sorted(ROOT.glob("docs/**/*.md"))]
JOB_FILES = sorted([*ROOT.glob("examples/*/*.yaml"), *ROOT.glob("benchmarks/jobs/*.yaml")])

FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"(?<!!)\[[^\]]+\]\(([^)\s]+)\)")
INLINE = re.compile(r"`(ocrfleet(?: [a-z-]+)+|make [a-z-]+)[^`]*`")
FOREIGN = {"aws", "export", "curl", ".", "source", "git", "kubectl", "docker", "helm"}
"""Words that begin a line of a shell and are none of ours."""

WHOLE = {
    "apiVersion": "ocrfleet.io/v1",
    "name": "slips",
    "run": {"task": "det", "recipe": "det-db-mobile", "data": {"train": "s3://b/x/"}, "output": "s3://b/y/"},
}
"""What a part of a job file on a page is laid over."""


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def blocks(page: Path, *languages: str) -> list[str]:
    return [text for language, text in FENCE.findall(page.read_text("utf-8")) if language in languages]


def anchors(page: Path) -> set[str]:
    prose = FENCE.sub("", page.read_text("utf-8"))
    headings = re.findall(r"^#+ (.+)$", prose, re.MULTILINE)
    # As GitHub makes them.
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def commands(page: Path) -> Iterator[list[str]]:
    """Give every command of a page's shell blocks, in words."""
    for block in blocks(page, "bash", "console", "sh"):
        for line in block.replace("\\\n", " ").splitlines():
            words = shlex.split(line.removeprefix("$ "), comments=True)
            for mark in ("|", ">", "&&"):
                words = words[: words.index(mark)] if mark in words else words
            if words:
                yield words


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_link_leads_to_a_page_and_a_heading_that_exist(page: Path) -> None:
    """A reader never meets a dead end within the repository."""
    for target in LINK.findall(FENCE.sub("", page.read_text("utf-8"))):
        if "://" in target:
            continue
        path, _, anchor = target.partition("#")
        there = (page.parent / path).resolve() if path else page
        assert there.exists(), f"{name(page)} links to {target}"
        if anchor:
            assert anchor in anchors(there), f"{name(page)} links to {target}"


def test_every_page_can_be_reached_from_the_readme() -> None:
    """A page that nothing links to is not found."""
    seen, ahead = set(), [ROOT / "README.md"]
    while ahead:
        page = ahead.pop()
        if page in seen or page.suffix != ".md":
            continue
        seen.add(page)
        links = LINK.findall(page.read_text("utf-8"))
        ahead += [(page.parent / link.partition("#")[0]).resolve() for link in links if "://" not in link]
    assert {name(page) for page in PAGES} <= {name(page) for page in seen}


def test_the_readme_is_at_most_150_lines() -> None:
    """It is for a first meeting."""
    assert len((ROOT / "README.md").read_text("utf-8").splitlines()) <= 150


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_job_file_on_a_page_loads_and_its_recipe_resolves(page: Path) -> None:
    """What is copied from a page works; a part of a job file is one when the rest is put round it."""
    for block in blocks(page, "yaml"):
        raw: dict[str, Any] = yaml.safe_load(block)
        whole = raw if "apiVersion" in raw else laid_over(WHOLE, raw)
        recipes.resolve(jobfile.load(yaml.safe_dump(whole)).run)


@pytest.mark.parametrize("path", JOB_FILES, ids=name)
def test_every_example_job_file_loads_and_its_recipe_resolves(path: Path) -> None:
    """The examples are the first thing that is copied."""
    recipes.resolve(jobfile.load(path).run)


def test_every_run_id_on_a_page_is_that_of_its_job_file() -> None:
    """A command with an id can be copied, once the job file above it was applied."""
    shown = []
    for page in PAGES:
        wholes = [block for block in blocks(page, "yaml") if "apiVersion" in yaml.safe_load(block)]
        ids = {jobfile.load(whole).name: id_in_python(whole) for whole in wholes}
        found = re.findall(r"\b([a-z][-a-z0-9]*)-([0-9a-f]{8})\b", page.read_text("utf-8"))
        shown += [(name(page), f"{job}-{digest}", ids[job]) for job, digest in found if job in ids]
    assert shown
    assert [each for each in shown if each[1] != each[2]] == []


def laid_over(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    result = copy.deepcopy(below)
    for key, value in above.items():
        nested = isinstance(value, dict) and isinstance(result.get(key), dict)
        result[key] = laid_over(result[key], value) if nested else value
    return result


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_command_in_a_shell_block_is_one_that_the_parsers_know(page: Path) -> None:
    """Each word of each command is accepted, down to the options."""
    for words in commands(page):
        check_command(words, page)


def check_command(words: list[str], page: Path) -> None:
    program, line = words[0].rpartition("/")[2], " ".join(words)
    if program == "ocrfleet":
        assert is_accepted(words[1:]), f"{name(page)}: {line}"
    elif program == "make":
        variables = {word.partition("=")[0] for word in words[1:] if "=" in word}
        assert {word for word in words[1:] if "=" not in word} <= targets(), f"{name(page)}: {line}"
        assert variables <= set(re.findall(r"^(?:[a-z-]+: )?([A-Z]+) \??=", MAKEFILE, re.MULTILINE)), (
            f"{name(page)}: {line}"
        )
    elif program == "python" and words[1] == "-m":
        module = ROOT.joinpath(*words[2].split("."))
        assert words[2] == "pytest" or module.is_dir() or module.with_suffix(".py").is_file(), f"{name(page)}: {line}"
    else:
        assert program in FOREIGN or (ROOT / words[0]).is_file(), f"{name(page)}: {line}"


def is_accepted(words: list[str]) -> bool:
    try:
        cli.build_parser().parse_args(words)
    except SystemExit as end:
        return end.code == 0
    return True


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_command_named_in_a_sentence_exists(page: Path) -> None:
    """`ocrfleet models list` in running text is a command too."""
    known = {" ".join(("ocrfleet", *path)) for path in paths(cli.build_parser())}
    known |= {f"make {target}" for target in targets()}
    for command in INLINE.findall(FENCE.sub("", page.read_text("utf-8"))):
        words = command.split()
        depth = max(n for n in range(1, len(words) + 1) if n == 1 or " ".join(words[:n]) in known)
        assert depth > 1, f"{name(page)}: {command}"


def test_the_table_of_exit_codes_has_each_of_them() -> None:
    """A code that a user may meet is explained."""
    page = ROOT / "docs/tasks/run/find-out-why-a-run-ended.md"
    codes = re.findall(r"^\| (\d+) \|", page.read_text("utf-8"), re.MULTILINE)
    assert [int(code) for code in codes] == sorted(ExitCode)


def paths(parser: Any) -> Iterator[tuple[str, ...]]:
    """Give the words of every command, such as ("models", "list")."""
    for action in parser._actions:
        if isinstance(action.choices, dict):
            for word, child in action.choices.items():
                yield (word,)
                yield from ((word, *deeper) for deeper in paths(child))


def targets() -> set[str]:
    return set(re.findall(r"^([a-z-]+):.*##", MAKEFILE, re.MULTILINE))
