"""`ocrfleet completion`: the scripts that docs/completion.py makes of all commands."""

import argparse
from pathlib import Path
from typing import Final

from jobs.commands import options

SCRIPTS: Final = Path(__file__).with_name("completions")

_ZSH: Final = "#compdef ocrfleet\nautoload -U +X compinit && compinit\nautoload -U +X bashcompinit && bashcompinit\n"

_INSTALL: Final = """\
source <(ocrfleet completion bash)      # this shell
ocrfleet completion bash > /etc/bash_completion.d/ocrfleet
source <(ocrfleet completion zsh)
ocrfleet completion fish > ~/.config/fish/completions/ocrfleet.fish"""


def add(parser: argparse.ArgumentParser) -> None:
    """Add its arguments."""
    options.command(
        parser,
        run=run,
        text="Write a script that completes commands and options in bash, zsh or fish.",
        examples=_INSTALL,
    )
    parser.add_argument("shell", choices=("bash", "zsh", "fish"))


def run(arguments: argparse.Namespace) -> int:
    """Write a script."""
    shell = "bash" if arguments.shell == "zsh" else arguments.shell
    head = _ZSH if arguments.shell == "zsh" else ""
    print(head + (SCRIPTS / f"ocrfleet.{shell}").read_text("utf-8"), end="")
    return 0
