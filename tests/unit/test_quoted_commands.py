"""A command that a message, a comment or a page recommends exists, with every option that it names."""

import argparse
import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from jobs import cli
from tests.unit.test_docs import ROOT, name, targets

CODE = sorted(path for room in ("jobs", "trainer", "docs") for path in ROOT.glob(f"{room}/**/*.py"))
TEXT = sorted(
    path
    for pattern in ("charts/**/*", "docs/**/*.md", "examples/**/*", "manifests/**/*", "*.md", "Makefile", "Dockerfile")
    for path in ROOT.glob(pattern)
    if path.is_file() and path.suffix not in (".json", ".png", ".jpg")
)
QUOTED = re.compile(r"`((?:kubectl )?ocrfleet(?: [^`]*)?|make(?: [^`]*)?)`")
PARSER = cli.build_parser()
LINE = re.compile(r"(?m)^ *(?:# +|\$ )?(ocrfleet [a-z][^#|>&\n]*)")
"""A line of its own, as in examples and in the chart's notes."""


def commands(path: Path) -> Iterator[str]:
    """Return what a file quotes: of Python its texts, with X for each value that is filled in."""
    text = path.read_text("utf-8")
    texts = python_texts(text) if path.suffix == ".py" else [text]
    for each in texts:
        yield from (" ".join(found.split()) for found in QUOTED.findall(each))
        yield from (found.strip() for found in LINE.findall(each) if path.suffix != ".md")


def python_texts(source: str) -> Iterator[str]:
    inner: set[int] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.JoinedStr):
            inner |= {id(value) for value in node.values}
            yield "".join(str(v.value) if isinstance(v, ast.Constant) else "X" for v in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in inner:
            yield re.sub(r"{[^}\s]*}", "X", node.value)
    yield from (line.partition("#")[2] for line in source.splitlines() if "#" in line)


def fault(command: str, parser: argparse.ArgumentParser) -> str | None:
    """Return what the parser does not know of a command, None if it knows all."""
    words = command.removeprefix("kubectl ").split()
    if words[0] == "make":
        return next((word for word in words[1:] if "=" not in word and word not in targets()), None)
    for word in words[1:] if "--" not in words else words[1 : words.index("--")]:
        if choices := subcommands(parser):
            if word in choices:
                parser = choices[word]
            elif not (word.isupper() or word in parser._option_string_actions or word == "…"):
                return word
        elif word.startswith("-") and word != "-" and word.partition("=")[0] not in parser._option_string_actions:
            return word
    return None


def subcommands(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    found = (action.choices for action in parser._actions if isinstance(action, argparse._SubParsersAction))
    return next(found, {})


@pytest.mark.parametrize("path", [*CODE, *TEXT], ids=name)
def test_every_quoted_command_exists_with_its_options(path: Path) -> None:
    faults = {command: wrong for command in commands(path) if (wrong := fault(command, PARSER))}
    assert faults == {}, f"{name(path)}: the command lacks the word"


def test_a_command_that_does_not_exist_is_found() -> None:
    unknown = {"ocrfleet schedule resume": "schedule", "ocrfleet stop X --now": "--now", "make mend": "mend"}
    known = ["ocrfleet", "ocrfleet models list", "kubectl ocrfleet stop X --wait", "ocrfleet COMMAND -h", "make test"]
    assert {command: fault(command, PARSER) for command in unknown} == unknown
    assert [command for command in known if fault(command, PARSER)] == []


def test_commands_are_found_across_the_lines_of_a_text_and_in_formatted_texts() -> None:
    source = 'a = "see `ocrfleet " "logs {run}`"\nb = f"see `ocrfleet watch {a}` or `ocrfleet list`"  # `make test`\n'
    found = [command for text in python_texts(source) for command in QUOTED.findall(text)]
    assert sorted(found) == ["make test", "ocrfleet list", "ocrfleet logs X", "ocrfleet watch X"]
