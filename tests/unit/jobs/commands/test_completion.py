"""The completion scripts know every command and option. What they ask for at a TAB: test_complete.py."""

import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from docs import completion
from jobs import cli
from jobs.commands.completion import SCRIPTS


@pytest.mark.parametrize(("shell", "written"), [("bash", completion.bash), ("fish", completion.fish)])
def test_the_script_is_that_of_todays_commands(shell: str, written: Callable[..., str]) -> None:
    """`make verify` writes it again."""
    assert (SCRIPTS / f"ocrfleet.{shell}").read_text("utf-8") == written(cli.build_parser())


def test_a_wheel_has_the_scripts() -> None:
    tables = tomllib.loads((Path(__file__).parents[4] / "pyproject.toml").read_text("utf-8"))
    patterns = tables["tool"]["setuptools"]["package-data"]["jobs.commands"]
    assert {path for pattern in patterns for path in SCRIPTS.parent.glob(pattern)} == set(SCRIPTS.iterdir())


def test_fish_lets_a_word_follow_only_the_options_that_take_one(ocrfleet: Callable[..., Any]) -> None:
    script = ocrfleet("completion", "fish").out
    of_check = [line for line in script.splitlines() if "-n '__fish_seen_subcommand_from check'" in line]
    switch = next(line for line in of_check if "-l debug " in line)
    folder = next(line for line in of_check if "-l cache " in line)
    assert " -r -d " not in switch
    assert " -r -d " in folder


def test_fish_asks_for_names(ocrfleet: Callable[..., Any]) -> None:
    script = ocrfleet("completion", "fish").out
    assert "__fish_seen_subcommand_from stop' -f -a '(ocrfleet __complete (commandline -opc)[2..]" in script


def test_zsh_runs_the_script_of_bash_after_loading_what_it_needs(ocrfleet: Callable[..., Any]) -> None:
    bash = ocrfleet("completion", "bash").out
    head, separator, rest = ocrfleet("completion", "zsh").out.partition(bash)
    assert (head.splitlines()[0], separator, rest) == ("#compdef ocrfleet", bash, "")
    assert "bashcompinit" in head
    assert "compdef" not in bash
