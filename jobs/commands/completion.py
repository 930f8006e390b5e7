"""`ocrfleet completion`: scripts for shells, made from the parser itself."""

import argparse
import shlex
from collections.abc import Callable, Iterator
from typing import Final

from jobs.commands import options

_BASH: Final = """\
# ocrfleet completion for bash; for zsh it is loaded through bashcompinit.
_ocrfleet() {{
    local current="${{COMP_WORDS[COMP_CWORD]}}" path="" word words=""
    COMPREPLY=()
    for word in "${{COMP_WORDS[@]:1:COMP_CWORD-1}}"; do
        case "$path/$word" in
{steps}
        esac
    done
    case "$path" in
{words}
    esac
    COMPREPLY=($(compgen -W "$words" -- "$current"))
    # Anything may also be a file: a job file, an image, a folder.
    [ ${{#COMPREPLY[@]}} -gt 0 ] || COMPREPLY=($(compgen -f -- "$current"))
}}
complete -o filenames -F _ocrfleet ocrfleet
"""

_ZSH: Final = "#compdef ocrfleet\nautoload -U +X compinit && compinit\nautoload -U +X bashcompinit && bashcompinit\n"

_INSTALL: Final = """\
source <(ocrfleet completion bash)                                    # this shell
ocrfleet completion bash > /etc/bash_completion.d/ocrfleet
source <(ocrfleet completion zsh)
ocrfleet completion fish > ~/.config/fish/completions/ocrfleet.fish"""


def add(commands: options.Commands, build_parser: Callable[[], argparse.ArgumentParser]) -> None:
    """Say the command's words."""

    def run(arguments: argparse.Namespace) -> int:
        print(script(build_parser(), arguments.shell), end="")
        return 0

    parser = options.command(
        commands,
        "completion",
        run=run,
        summary="write a completion script for a shell",
        text="Write a script that completes commands and options in bash, zsh or fish.",
        examples=_INSTALL,
    )
    parser.add_argument("shell", choices=("bash", "zsh", "fish"))


def script(parser: argparse.ArgumentParser, shell: str) -> str:
    """Give the script for a shell."""
    if shell == "fish":
        return "\n".join(_fish(parser)) + "\n"
    paths = dict(walk(parser))
    steps = [f'            {path}) path="{path}" ;;' for path in paths if path]
    words = [f'        "{path}") words="{" ".join(_words(one))}" ;;' for path, one in paths.items()]
    bash = _BASH.format(steps="\n".join(steps), words="\n".join(words))
    return _ZSH + bash if shell == "zsh" else bash


def walk(parser: argparse.ArgumentParser, path: str = "") -> Iterator[tuple[str, argparse.ArgumentParser]]:
    """Give every parser with its path, such as `/models/list`."""
    yield path, parser
    for name, child in children(parser).items():
        yield from walk(child, f"{path}/{name}")


def children(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    """Give the parsers of a parser's commands."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            return dict(action.choices)
    return {}


def _words(parser: argparse.ArgumentParser) -> list[str]:
    """Give commands, choices of a word that stands by its place, and long options."""
    choices = [str(c) for a in parser._actions if not a.option_strings and a.choices for c in a.choices]
    return choices + [o for a in parser._actions for o in a.option_strings if o.startswith("--")]


def _fish(parser: argparse.ArgumentParser) -> Iterator[str]:
    yield "# ocrfleet completion for fish"
    for path, one in walk(parser):
        seen = path.strip("/").split("/") if path else []
        condition = " && ".join(f"__fish_seen_subcommand_from {word}" for word in seen)
        deeper = children(one)
        if not path:
            condition = "__fish_use_subcommand"
        elif deeper:
            condition += f" && not __fish_seen_subcommand_from {' '.join(deeper)}"
        prefix = f"complete -c ocrfleet -n {shlex.quote(condition)}"
        helps = {c.dest: c.help for a in one._actions if deeper for c in getattr(a, "_choices_actions", [])}
        for word in [w for w in _words(one) if not w.startswith("-")]:
            yield f"{prefix} -f -a {word} -d {shlex.quote(helps.get(word) or '')}"
        for action in [a for a in one._actions if a.option_strings]:
            flags = " ".join(f"-l {o[2:]}" if o.startswith("--") else f"-s {o[1:]}" for o in action.option_strings)
            values = f" -x -a {shlex.quote(' '.join(map(str, action.choices)))}" if action.choices else ""
            needs = "" if action.nargs == 0 or values else " -r"
            yield f"{prefix} {flags}{values}{needs} -d {shlex.quote((action.help or '').split('. ')[0])}"
