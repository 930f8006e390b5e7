"""Writes docs/reference from the code: `python -m docs.generate`; `make verify` runs it and wants no difference.

Everything a page says stands in the code: field texts in the dataclasses, options in argparse, exit codes in
`trainer/contract.py`, recipes in `trainer/recipes/`.
"""

import argparse
import ast
import inspect
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from pydantic import TypeAdapter

from jobs import placement
from jobs.cli import build_parser
from jobs.commands.completion import children, walk
from jobs.jobfile import TrainingJob
from trainer import contract, recipes, runspec
from trainer.runspec import camel, to_yaml, words_of

REFERENCE: Final = Path(__file__).parent / "reference"
HEAD: Final = "<!-- Written by docs/generate.py. Change the code that it names, then run `make verify`. -->\n\n"

ENVIRONMENT: Final = {
    "OCRFLEET_WORKDIR": "holds a folder for each run of `ocrfleet run`; as --workdir",
    "OCRFLEET_CACHE": "where `check`, `data` and `predict` keep what they fetch; as --cache",
    "PADDLEOCR_HOME": "a checkout of PaddleOCR to train with, in place of the packaged tree",
    "AWS_ENDPOINT_URL, AWS_REGION, AWS_PROFILE, AWS_ACCESS_KEY_ID, …": "as for the AWS tools",
}


def main() -> None:
    """Write all pages."""
    REFERENCE.mkdir(exist_ok=True)
    pages = {
        "job-file.md": job_file(),
        "commands.md": commands(),
        "exit-codes.md": exit_codes(),
        "recipes.md": recipe_table(),
    }
    for name, text in pages.items():
        (REFERENCE / name).write_text(HEAD + text.rstrip() + "\n", "utf-8", newline="\n")


# --- the job file ---------------------------------------------------------------------------------------------------


def job_file() -> str:
    """Give the page of the job file: a section a class, a row a field."""
    schema = TypeAdapter(TrainingJob).json_schema()
    for name, part in {**schema["$defs"], "": schema}.items():
        cls = getattr(runspec, name, None) or getattr(placement, name, TrainingJob)
        # As the class has them; the schema has those first whose default is made.
        part["properties"] = {camel(field): part["properties"][camel(field)] for field in cls.__annotations__}
    sections = [
        "# The job file\n\nYAML, at most 1 MB. Unknown fields are refused, and the nearest known one is named. A field "
        "without a value is as if left out. `--set` overrides any of them, see [the commands](commands.md)."
    ]
    sections += _section("", schema, schema["$defs"])
    return "\n".join(sections)


def _section(path: str, schema: Mapping[str, Any], classes: Mapping[str, Any]) -> Iterator[str]:
    fields = schema["properties"]
    rows = [
        (
            f"`{name}`",
            _type(field, f"{path}.{name}".strip(".")),
            _default(name, field, schema),
            _line(_meaning(field, classes)),
        )
        for name, field in fields.items()
    ]
    text = schema["description"].split("\n")[0]
    heading = f"## `{path}`\n\n{text}\n" if path else ""
    yield f"{heading}\n{_table(('field', 'value', 'default', 'meaning'), rows)}"
    for name, field in fields.items():
        inner = _class(field)
        if inner:
            yield from _section(f"{path}.{name}".strip("."), classes[inner], classes)


def _meaning(field: Mapping[str, Any], classes: Mapping[str, Any]) -> str:
    # Left out where it would say what the class says.
    return str(field.get("description") or classes[str(_class(field))]["description"]).split("\n\n")[0]


def _class(field: Mapping[str, Any]) -> str | None:
    """Give the class of a field whose value is a part of the file with fields of its own."""
    for choice in [field, *field.get("anyOf", [])]:
        if "$ref" in choice:
            return str(choice["$ref"]).rsplit("/", 1)[-1]
    return None


def _type(field: Mapping[str, Any], path: str) -> str:
    if _class(field):
        return f"[a mapping](#{path.replace('.', '').lower()})"
    kinds = [choice for choice in field.get("anyOf", [field]) if choice.get("type") != "null"]
    return " or ".join(_kind(choice) for choice in kinds)


def _kind(choice: Mapping[str, Any]) -> str:
    if "const" in choice:
        return f"`{choice['const']}`"
    if "enum" in choice:
        return ", ".join(f"`{value}`" for value in choice["enum"])
    if "pattern" in choice and words_of(choice["pattern"]):
        return str(words_of(choice["pattern"])).removeprefix("write ")
    word = {"integer": "whole number", "number": "number", "boolean": "`true`, `false`", "array": "list"}
    kind = word.get(choice.get("type", ""), "mapping" if choice.get("type") == "object" else "text")
    low, high = choice.get("minimum"), choice.get("maximum")
    if low is not None:
        kind += f", {low:g} to {high:g}" if high is not None else f", at least {low:g}"
    if choice.get("type") == "array" and isinstance(choice.get("items"), dict) and "const" in choice["items"]:
        kind += f" of {_kind(choice['items'])}"
    return kind


def _default(name: str, field: Mapping[str, Any], schema: Mapping[str, Any]) -> str:
    if name in schema.get("required", ()):
        return "**required**"
    if field.get("default") is None:
        return ""
    if isinstance(field["default"], list):
        return f"`[{', '.join(field['default'])}]`"
    return f"`{to_yaml(field['default']).strip().removesuffix('...').strip()}`"


# --- the commands ---------------------------------------------------------------------------------------------------


def commands() -> str:
    """Give the page of the commands. Not argparse's own layout, which differs between versions of Python."""
    parser = build_parser()
    lines = [
        "# The commands",
        "",
        "Results go to standard output, everything else to standard error. Every command has `-h`.",
        "How they end: [exit codes](exit-codes.md).",
    ]
    for path, one in walk(parser):
        if path and not children(one):
            lines += ["", *_command(f"ocrfleet {path.strip('/').replace('/', ' ')}", one)]
    lines += [
        "",
        "## Environment",
        "",
        _table(("variable", "meaning"), [(f"`{k}`", v) for k, v in ENVIRONMENT.items()]),
    ]
    return "\n".join(lines)


def _command(words: str, parser: argparse.ArgumentParser) -> Iterator[str]:
    actions = [a for a in parser._actions if not isinstance(a, argparse._HelpAction)]
    places = [_metavar(a) + ("…" if a.nargs == "+" else "") for a in actions if not a.option_strings]
    optional = {"?": "[{}]"}
    shown = [
        optional.get(str(a.nargs), "{}").format(place)
        for a, place in zip([a for a in actions if not a.option_strings], places, strict=True)
    ]
    yield f"## `{' '.join([words, *shown])}`"
    yield ""
    yield " ".join((parser.description or "").split())
    yield ""
    yield _table(("word", "meaning"), [(_words(a), _line(a.help or "")) for a in actions])
    yield "```console"
    yield from (f"$ {line.strip()}" for line in (parser.epilog or "").splitlines()[1:])
    yield "```"


def _metavar(action: argparse.Action) -> str:
    return str(action.metavar or action.dest.upper())


def _words(action: argparse.Action) -> str:
    if not action.option_strings:
        choices = f": {', '.join(f'`{c}`' for c in action.choices)}" if action.choices else ""
        return f"`{_metavar(action)}`{choices}"
    names = ", ".join(f"`{option}`" for option in action.option_strings)
    if action.nargs == 0:
        return names + (" (required)" if action.required else "")
    value = ", ".join(f"`{c}`" for c in action.choices) if action.choices else f"`{_metavar(action)}`"
    return f"{names} {value}{' (required)' if action.required else ''}"


# --- the rest -------------------------------------------------------------------------------------------------------


def exit_codes() -> str:
    """Give the page of the exit codes, from the texts below them in the code."""
    tree = ast.parse(inspect.getsource(contract.ExitCode)).body[0]
    assert isinstance(tree, ast.ClassDef)
    texts: dict[str, str] = {}
    for before, node in zip(tree.body, tree.body[1:], strict=False):
        if isinstance(before, ast.Assign) and isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            texts[ast.unparse(before.targets[0])] = str(node.value.value)
    rows = [(str(int(code)), f"`{code.name}`", _line(texts[code.name])) for code in contract.ExitCode]
    return (
        "# Exit codes\n\nOf `ocrfleet run`, of the other commands, and of a pod. With 75 and 143 the same command goes "
        "on where it was.\n\n" + _table(("code", "name", "meaning"), rows)
    )


def recipe_table() -> str:
    """Give the page of the recipes."""
    rows = []
    for name in recipes.names():
        recipe = recipes.load(name)
        loader = recipe.config["Train"]["loader"]
        rows.append(
            (
                f"`{name}`",
                recipe.task,
                recipe.summary,
                str(recipe.config["Global"]["epoch_num"]),
                str(loader["batch_size_per_card"]),
                f"`{recipe.model_name}`",
                f"{recipe.tolerance:g}",
            )
        )
    heads = ("recipe", "task", "what it is", "epochs", "batch a device", "name for PaddleOCR 3", "tolerance of verify")
    return (
        "# Recipes\n\n`ocrfleet recipes NAME` shows one in full. Any key is changed by `run.overrides`.\n\n"
        + _table(heads, rows)
    )


def _table(heads: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [heads, ("---",) * len(heads), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines) + "\n"


def _line(text: str) -> str:
    return re.sub(r"\s+", " ", text).strip()


if __name__ == "__main__":
    main()
