"""`ocrfleet completion`: scripts for shells, made from the parser itself."""

import argparse
import os
import shlex
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Final

from jobs.commands import options
from trainer.errors import OcrfleetError

if TYPE_CHECKING:
    from jobs.kube.objects import Object

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
    # Names of runs come from the cluster, which has two seconds to answer.
    case "$path" in
        {asking})
            [[ "$current" == -* ]] || words="$(ocrfleet __complete "${{COMP_WORDS[@]:1:COMP_CWORD}}" 2>/dev/null)" ;;
    esac
    COMPREPLY=($(compgen -W "$words" -- "$current"))
    # Anything may also be a file: a job file, an image, a folder.
    [ ${{#COMPREPLY[@]}} -gt 0 ] || COMPREPLY=($(compgen -f -- "$current"))
}}
complete -o filenames -F _ocrfleet ocrfleet
"""

_ZSH: Final = "#compdef ocrfleet\nautoload -U +X compinit && compinit\nautoload -U +X bashcompinit && bashcompinit\n"

_INSTALL: Final = """\
source <(ocrfleet completion bash)      # this shell
ocrfleet completion bash > /etc/bash_completion.d/ocrfleet
source <(ocrfleet completion zsh)
ocrfleet completion fish > ~/.config/fish/completions/ocrfleet.fish"""


def add(commands: options.Commands) -> None:
    """Add the command to the parser."""
    parser = options.command(
        commands,
        "completion",
        run=run,
        summary="write a completion script for a shell",
        text="Write a script that completes commands and options in bash, zsh or fish.",
        examples=_INSTALL,
    )
    parser.add_argument("shell", choices=("bash", "zsh", "fish"))


def run(arguments: argparse.Namespace) -> int:
    """Write a script."""
    print(script(arguments.build_parser(), arguments.shell), end="")
    return 0


def script(parser: argparse.ArgumentParser, shell: str) -> str:
    """Return the script for a shell."""
    if shell == "fish":
        return "\n".join(_fish(parser)) + "\n"
    paths = dict(walk(parser))
    steps = [f'            {path}) path="{path}" ;;' for path in paths if path]
    words = [f'        "{path}") words="{" ".join(_words(one))}" ;;' for path, one in paths.items()]
    asking = "|".join(f'"{path}"' for path, one in paths.items() if _named(one))
    bash = _BASH.format(steps="\n".join(steps), words="\n".join(words), asking=asking)
    return _ZSH + bash if shell == "zsh" else bash


def walk(parser: argparse.ArgumentParser, path: str = "") -> Iterator[tuple[str, argparse.ArgumentParser]]:
    """Return every parser with its path, such as `/models/list`."""
    yield path, parser
    for name, child in children(parser).items():
        yield from walk(child, f"{path}/{name}")


def children(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    """Return the parsers of a parser's commands."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            return dict(action.choices)
    return {}


def answer(parser: argparse.ArgumentParser, words: Sequence[str]) -> list[str]:
    """Return what the last of these words can be; the empty list where it may be anything, such as a file.

    Args:
        parser: of all commands.
        words: all that follow `ocrfleet`, the last as far as it is typed.
    """
    *before, current = words or [""]
    for word in before:
        parser = children(parser).get(word, parser)
    takes = _option(parser, before[-1]) if before else None
    if takes and takes.nargs != 0:
        known = [str(each) for each in takes.choices or ()]
    elif (named := _named(parser)) and not current.startswith("-"):
        known = named(before)
    else:
        known = [word for word in _words(parser) if word.startswith("-") == current.startswith("-")]
    return [word for word in known if word.startswith(current)]


def in_time(parser: argparse.ArgumentParser, words: Sequence[str]) -> list[str]:
    """Return the answer; end this process if the cluster is too slow for a TAB."""
    timer = threading.Timer(DEADLINE, os._exit, args=(0,))
    timer.daemon = True
    timer.start()
    try:
        return answer(parser, words)
    except (OcrfleetError, argparse.ArgumentError):
        return []  # nobody who presses TAB wants to read a sentence
    finally:
        timer.cancel()


DEADLINE: Final = 2.0
"""Seconds that a user waits after a TAB."""


def _named(parser: argparse.ArgumentParser) -> Callable[[Sequence[str]], list[str]] | None:
    """Return the function that asks the cluster for what a command's word can be."""
    for action in parser._actions:
        if not action.option_strings and (action.metavar == "RUN" or action.dest == "job_name"):
            return _runs if action.metavar == "RUN" else _names
    return None


def _runs(words: Sequence[str]) -> list[str]:
    from jobs.kube.fields import run_of

    return _unique(run_of(each) for each in _workloads(words))


def _names(words: Sequence[str]) -> list[str]:
    from jobs.kube.fields import label
    from jobs.runs import find

    return _unique(label(each, find.NAME_LABEL) for each in _workloads(words))


def _workloads(words: Sequence[str]) -> "list[Object]":
    """Return the workloads of the cluster that was typed before."""
    from jobs.runs import find

    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    options.cluster(parser)
    parser.set_defaults(request_timeout=DEADLINE)
    arguments, _ = parser.parse_known_args(list(words))
    return find.workloads(options.connect(arguments))


def _unique(words: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(filter(None, words)))[::-1]


def _option(parser: argparse.ArgumentParser, word: str) -> argparse.Action | None:
    return next((each for each in parser._actions if word in each.option_strings), None)


def _words(parser: argparse.ArgumentParser) -> list[str]:
    """Return commands, choices of a word that stands by its place, and long options."""
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
        if _named(one):
            asks = "(ocrfleet __complete (commandline -opc)[2..] (commandline -ct))"
            yield f"{prefix} -f -a {shlex.quote(asks)}"
        for action in [a for a in one._actions if a.option_strings]:
            flags = " ".join(f"-l {o[2:]}" if o.startswith("--") else f"-s {o[1:]}" for o in action.option_strings)
            values = f" -x -a {shlex.quote(' '.join(map(str, action.choices)))}" if action.choices else ""
            needs = "" if action.nargs == 0 or values else " -r"
            yield f"{prefix} {flags}{values}{needs} -d {shlex.quote((action.help or '').split('. ')[0])}"
