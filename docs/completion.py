"""Writes the completion scripts of `ocrfleet completion` from the parser of all commands.

They are files of the package, since loading every command at the start of a shell would take half a second.
"""

import argparse
import shlex
from collections.abc import Iterator
from typing import Final

from jobs.cli import build_parser
from jobs.commands.complete import children, named, walk, words_of
from jobs.commands.completion import SCRIPTS

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


def write() -> None:
    """Write the scripts; that for zsh is that for bash with another head."""
    SCRIPTS.mkdir(exist_ok=True)
    parser = build_parser()
    for name, text in {"bash": bash(parser), "fish": fish(parser)}.items():
        (SCRIPTS / f"ocrfleet.{name}").write_text(text, "utf-8", newline="\n")


def bash(parser: argparse.ArgumentParser) -> str:
    """Return the script for bash."""
    paths = dict(walk(parser))
    steps = [f'            {path}) path="{path}" ;;' for path in paths if path]
    words = [f'        "{path}") words="{" ".join(words_of(one))}" ;;' for path, one in paths.items()]
    asking = "|".join(f'"{path}"' for path, one in paths.items() if named(one))
    return _BASH.format(steps="\n".join(steps), words="\n".join(words), asking=asking)


def fish(parser: argparse.ArgumentParser) -> str:
    """Return the script for fish."""
    return "\n".join(_fish(parser)) + "\n"


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
        for word in [w for w in words_of(one) if not w.startswith("-")]:
            yield f"{prefix} -f -a {word} -d {shlex.quote(helps.get(word) or '')}"
        if named(one):
            asks = "(ocrfleet __complete (commandline -opc)[2..] (commandline -ct))"
            yield f"{prefix} -f -a {shlex.quote(asks)}"
        for action in [a for a in one._actions if a.option_strings]:
            flags = " ".join(f"-l {o[2:]}" if o.startswith("--") else f"-s {o[1:]}" for o in action.option_strings)
            values = f" -x -a {shlex.quote(' '.join(map(str, action.choices)))}" if action.choices else ""
            needs = "" if action.nargs == 0 or values else " -r"
            yield f"{prefix} {flags}{values}{needs} -d {shlex.quote((action.help or '').split('. ')[0])}"
