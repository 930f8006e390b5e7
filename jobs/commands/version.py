"""`ocrfleet version` and `ocrfleet --version`."""

import argparse
from typing import Any

from jobs.commands import options, show
from trainer import contract


def add(commands: options.Commands) -> None:
    """Add the command to the parser."""
    parser = options.command(
        commands,
        "version",
        run=run,
        summary="show the versions of ocrfleet and its packages",
        text="Show the version of ocrfleet; with -o also its contract and the packages that training needs. The "
        "command line, the chart and the trainer image work together if they have the same contract.",
        examples="ocrfleet version\nocrfleet version -o yaml\nocrfleet --version                # with the contract",
    )
    options.output(parser, "yaml", "json")


def add_flag(parser: argparse.ArgumentParser) -> None:
    """Add --version."""
    text = f"ocrfleet {contract.VERSION}, contract {contract.CONTRACT}"
    parser.add_argument("--version", action="version", version=text, help="show the version and the contract, and exit")


def run(arguments: argparse.Namespace) -> int:
    """Print the version."""
    if arguments.output is None:
        print(contract.VERSION)
        return 0
    import importlib.metadata  # a tenth of a command's start, of which no other command needs it

    names = ("paddlepaddle", "paddlepaddle-gpu", "paddleocr", "unstructured-paddleocr", "numpy", "obstore")
    found = {name: next(iter(importlib.metadata.distributions(name=name)), None) for name in names}
    packages = {name: package.version for name, package in found.items() if package}
    about: dict[str, Any] = {"ocrfleet": contract.VERSION, "contract": contract.CONTRACT, **packages}
    show.document(about, arguments.output)
    return 0
