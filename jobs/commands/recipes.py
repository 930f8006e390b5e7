"""`ocrfleet recipes`."""

import argparse
from dataclasses import asdict

from jobs.commands import options, show
from jobs.commands.document import document
from trainer import recipes


def add(parser: argparse.ArgumentParser) -> None:
    """Add its arguments."""
    options.command(
        parser,
        run=run,
        text="List the built-in recipes. With a name, show that recipe's whole PaddleOCR configuration; run.overrides "
        "can change every key of it. The value `auto` is filled in from the dataset.",
        examples="ocrfleet recipes\nocrfleet recipes rec-crnn-mobile\nocrfleet recipes det-db-mobile -o json",
    )
    parser.add_argument("name", metavar="NAME", nargs="?", help="the recipe to show")
    options.output(parser, "yaml", "json", "wide")


def run(arguments: argparse.Namespace) -> int:
    """List, or show one."""
    if arguments.name:
        recipe = asdict(recipes.load(arguments.name))
        recipe["modelName"] = recipe.pop("model_name")
        recipe.pop("notes")
        # Last, since it is long.
        recipe["config"] = recipe.pop("config")
        document(recipe, arguments.output)
        return 0
    found = [recipes.load(name) for name in recipes.names()]
    rows = [{"name": r.name, "task": r.task, "summary": r.summary, "modelName": r.model_name} for r in found]
    if arguments.output in ("yaml", "json"):
        document(rows, arguments.output)
        return 0
    columns = {"NAME": "name", "TASK": "task", "SUMMARY": "summary"}
    if arguments.output == "wide":
        columns["PADDLEX NAME"] = "modelName"
    show.table(rows, columns)
    return 0
