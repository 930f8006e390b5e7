"""`ocrfleet version`."""

import argparse
import importlib.metadata

from jobs.commands import options, show


def add(commands: options.Commands) -> None:
    """Say the command's words."""
    parser = options.command(
        commands,
        "version",
        run=run,
        summary="show the versions of ocrfleet and of what it trains with",
        text="Show the version of ocrfleet, and with -o those of the packages that training needs.",
        examples="ocrfleet version\nocrfleet version -o yaml",
    )
    options.output(parser, "yaml", "json")


def run(arguments: argparse.Namespace) -> int:
    """Print the version."""
    if arguments.output is None:
        print(importlib.metadata.version("ocrfleet"))
        return 0
    names = ("ocrfleet", "paddlepaddle", "paddlepaddle-gpu", "paddleocr", "unstructured-paddleocr", "numpy", "obstore")
    found = {name: next(iter(importlib.metadata.distributions(name=name)), None) for name in names}
    show.document({name: package.version for name, package in found.items() if package}, arguments.output)
    return 0
