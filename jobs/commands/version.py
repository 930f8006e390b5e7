"""`ocrfleet version`."""

import argparse
import importlib.metadata
from typing import Any

from jobs.commands import options
from jobs.commands.document import document
from trainer import contract


def add(parser: argparse.ArgumentParser) -> None:
    """Add its arguments."""
    options.command(
        parser,
        run=run,
        text="Show the version of ocrfleet; with -o also its contract and the packages that training needs. The "
        "command line, the chart and the trainer image work together if they have the same contract.",
        examples="ocrfleet version\nocrfleet version -o yaml\nocrfleet --version                # with the contract",
    )
    options.output(parser, "yaml", "json")


def run(arguments: argparse.Namespace) -> int:
    """Print the version."""
    if arguments.output is None:
        print(contract.VERSION)
        return 0
    names = ("paddlepaddle", "paddlepaddle-gpu", "paddleocr", "unstructured-paddleocr", "numpy", "obstore")
    found = {name: next(iter(importlib.metadata.distributions(name=name)), None) for name in names}
    packages = {name: package.version for name, package in found.items() if package}
    about: dict[str, Any] = {"ocrfleet": contract.VERSION, "contract": contract.CONTRACT, **packages}
    document(about, arguments.output)
    return 0
