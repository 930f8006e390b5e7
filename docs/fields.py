"""The fields of the job file, read from its model: what every page and the chart's files are written from."""

import ast
import inspect
import re
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from pydantic import TypeAdapter

from jobs.jobfile import placement, platform
from jobs.jobfile.model import TrainingJob
from trainer.run import spec as runspec
from trainer.run.spec import camel, words_of


def schema() -> dict[str, Any]:
    """Give pydantic's JSON schema of the job file, with the fields in the order of the classes."""
    result: dict[str, Any] = TypeAdapter(TrainingJob).json_schema()
    for name, part in {**result["$defs"], "": result}.items():
        cls = next(
            (found for room in (runspec, placement, platform) if (found := getattr(room, name, None))), TrainingJob
        )
        # As the class has them; pydantic has those first whose default is made.
        part["properties"] = {camel(field): part["properties"][camel(field)] for field in cls.__annotations__}
        for field, text in texts(cls).items():
            part["properties"][camel(field)]["description"] = text
    return result


def texts(cls: type[Any]) -> dict[str, str]:
    """Give the text under each field of a class.

    pydantic would find them too, each time that a command starts, and that is a fifth of the start.
    """
    (definition,) = ast.parse(inspect.getsource(cls)).body
    assert isinstance(definition, ast.ClassDef)
    return {
        ast.unparse(field.target): inspect.cleandoc(text.value.value)
        for field, text in pairwise(definition.body)
        if isinstance(field, ast.AnnAssign)
        and isinstance(text, ast.Expr)
        and isinstance(text.value, ast.Constant)
        and isinstance(text.value.value, str)
    }


def class_of(field: Mapping[str, Any]) -> str | None:
    """Give the class of a field whose value is a part of the file with fields of its own."""
    for choice in [field, *field.get("anyOf", [])]:
        if "$ref" in choice:
            return str(choice["$ref"]).rsplit("/", 1)[-1]
    return None


def meaning(field: Mapping[str, Any], classes: Mapping[str, Any]) -> str:
    """Give a field's text on one line."""
    # Left out where it would say what the class says.
    return line(str(field.get("description") or classes[str(class_of(field))]["description"]).split("\n\n")[0])


def values_of(field: Mapping[str, Any]) -> str:
    """Say in words what a field may hold."""
    kinds = [choice for choice in field.get("anyOf", [field]) if choice.get("type") != "null"]
    return " or ".join(_kind(choice) for choice in kinds)


def _kind(choice: Mapping[str, Any]) -> str:
    if "$ref" in choice:
        return "mapping"
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


def table(heads: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    """Write a table of Markdown."""
    lines = [heads, ("---",) * len(heads), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines) + "\n"


def line(text: str) -> str:
    """Put a text on one line."""
    return re.sub(r"\s+", " ", text).strip()
