"""Writes docs/reference from the code, the chart's values, schema and README, the runtime of engine `trainjob`, the
completion scripts, and the types of Kubernetes that a job file may have.

`make verify` runs it, as `python -m docs.generate`, and wants no difference.

Everything a page says stands in the code: field texts in the dataclasses, options in argparse, exit codes in
`trainer/contract.py`, recipes in `trainer/recipes/`.
"""

import argparse
import ast
import inspect
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from docs import chart, completion, fields, kubernetes_types, runtime
from docs.fields import class_of, line, meaning, table, values_of
from jobs.cli import build_parser
from jobs.commands.complete import children, walk
from trainer import contract, recipes
from trainer.formats.yaml import to_yaml
from trainer.telemetry import events

REFERENCE: Final = Path(__file__).parent / "reference"
HEAD: Final = "<!-- Written by docs/generate.py. Change the code that it names, then run `make verify`. -->\n\n"

ENVIRONMENT: Final = {
    "OCRFLEET_WORKDIR": "holds a folder for each run of `ocrfleet run`; as --workdir",
    "OCRFLEET_CACHE": "where `check`, `data` and `predict` keep what they fetch; as --cache",
    "OCRFLEET_LOG_FORMAT": "what `ocrfleet run` logs: `text`, or `json` for [one event a line](log-events.md)",
    "PADDLEOCR_HOME": "a checkout of PaddleOCR to train with, in place of the packaged tree",
    "AWS_ENDPOINT_URL, AWS_REGION, AWS_CA_BUNDLE, AWS_PROFILE, AWS_ACCESS_KEY_ID, …": "as for the AWS tools",
    "OCRFLEET_S3_ADDRESSING": "[how buckets are addressed](../tasks/manage/use-a-bucket.md): `path`, `virtual`, `auto`",
}


def main() -> None:
    """Write all pages, the chart's files with the runtime that goes with them, and the completion scripts."""
    kubernetes_types.write()  # first: the others render
    REFERENCE.mkdir(exist_ok=True)
    pages = {
        "job-file.md": job_file(),
        "commands.md": commands(),
        "exit-codes.md": exit_codes(),
        "log-events.md": log_events(),
        "recipes.md": recipe_table(),
    }
    for name, text in pages.items():
        (REFERENCE / name).write_text(HEAD + text.rstrip() + "\n", "utf-8", newline="\n")
    chart.write()
    runtime.write()
    completion.write()


# --- the job file ---------------------------------------------------------------------------------------------------


def job_file() -> str:
    """Return the page of the job file: one section per class, one row per field."""
    schema = fields.schema()
    sections = [
        "# The job file\n\nYAML, at most 1 MB. An unknown field is refused, with the nearest known one. A field "
        "without a value counts as unset. `--set` overrides any field, see [the commands](commands.md). The file "
        "is also the values file of [the chart](../../charts/ocr-training/README.md)."
    ]
    sections += _section("", schema, schema["$defs"])
    return "\n".join(sections)


def _section(path: str, schema: Mapping[str, Any], classes: Mapping[str, Any]) -> Iterator[str]:
    known = schema["properties"]
    rows = [
        (
            f"`{name}`",
            _values(field, f"{path}.{name}".strip(".")),
            _default(name, field, schema),
            meaning(field, classes),
        )
        for name, field in known.items()
    ]
    text = schema["description"].split("\n")[0]
    heading = f"## `{path}`\n\n{text}\n" if path else ""
    yield f"{heading}\n{table(('field', 'value', 'default', 'meaning'), rows)}"
    for name, field in known.items():
        inner = _inner(field)
        if inner:
            yield from _section(f"{path}.{name}".strip("."), classes[inner], classes)


def _inner(field: Mapping[str, Any]) -> str | None:
    """Return the class of a field, or of its items."""
    return class_of(field) or class_of(field.get("items") or {})


def _values(field: Mapping[str, Any], path: str) -> str:
    link = f"(#{path.replace('.', '').lower()})"
    if class_of(field):
        return f"[a mapping]{link}"
    return f"[a list of mappings]{link}" if _inner(field) else values_of(field)


def _default(name: str, field: Mapping[str, Any], schema: Mapping[str, Any]) -> str:
    if name in schema.get("required", ()):
        return "**required**"
    if field.get("default") is None:
        return ""
    if isinstance(field["default"], list):
        return f"`[{', '.join(map(str, field['default']))}]`"
    return f"`{to_yaml(field['default']).strip().removesuffix('...').strip()}`"


# --- the commands ---------------------------------------------------------------------------------------------------


def commands() -> str:
    """Return the page of the commands. argparse's own layout differs between versions of Python."""
    parser = build_parser()
    lines = [
        "# The commands",
        "",
        "Results go to standard output, everything else to standard error. Every command has `-h`.",
        "See also the [exit codes](exit-codes.md).",
    ]
    for path, one in walk(parser):
        if path and not children(one):
            lines += ["", *_command(f"ocrfleet {path.strip('/').replace('/', ' ')}", one)]
    lines += [
        "",
        "## Environment",
        "",
        table(("variable", "meaning"), [(f"`{k}`", v) for k, v in ENVIRONMENT.items()]),
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
    yield table(("word", "meaning"), [(_words(a), line(a.help or "")) for a in actions])
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
    """Return the page of the exit codes, from the texts below them in the code."""
    tree = ast.parse(inspect.getsource(contract.ExitCode)).body[0]
    assert isinstance(tree, ast.ClassDef)
    texts: dict[str, str] = {}
    for before, node in zip(tree.body, tree.body[1:], strict=False):
        if isinstance(before, ast.Assign) and isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            texts[ast.unparse(before.targets[0])] = str(node.value.value)
    rows = [(str(int(code)), f"`{code.name}`", line(texts[code.name])) for code in contract.ExitCode]
    return (
        "# Exit codes\n\nExit codes of `ocrfleet run`, of the other commands, and of a pod. After 75 and 143, the same "
        "command resumes the run.\n\n" + table(("code", "name", "meaning"), rows)
    )


def log_events() -> str:
    """Return the page of the events in a node's log: the classes of `trainer/telemetry/events.py` that are logged."""
    first = [
        "# Events in the log",
        "",
        "With `chart.logFormat: json` in the job file, or `OCRFLEET_LOG_FORMAT=json` in the environment of "
        "`ocrfleet run`, a node writes one JSON object a line: an event. Later versions may add events and keys. Every "
        "line has these keys:",
        "",
        table(("key", "meaning"), _ALWAYS),
    ]
    for kind in events.KINDS:
        if not kind.logged:
            continue
        text = fields.texts(kind)
        found = [each for each in msgspec.structs.fields(kind) if each.name not in ("rank", "stage")]
        rows = [(f"`{each.name}`", line(text.get(each.name, each.name.replace("_", " ")))) for each in found]
        rows += _ADDED.get(kind, ())
        first += ["", f"## `{kind.__struct_config__.tag}`", "", line(inspect.getdoc(kind) or "")]
        first += ["", table(("key", "meaning"), rows)] if rows else []
    return "\n".join(first)


_ALWAYS: Final = (
    ("`time`", "when it was written, in UTC"),
    ("`event`", "what happened: one of those below"),
    ("`message`", "the same in words, as in a text log; empty where the event says all"),
    ("`run`, `node`, `attempt`", "the run's id, the node's rank and the attempt; absent until they are known"),
    ("`stage`", "the stage in progress; absent before the first and after the last"),
    ("`rank`", "the worker to which it happened; absent for the node itself"),
)

_ADDED: Final[Mapping[type[events.Event], tuple[tuple[str, str], ...]]] = {
    events.Step: (
        ("`percent`", "steps done, of 100"),
        ("`samples_per_second`", "the speed of all workers of the node"),
        ("`seconds_left`", "until the last step, at the speed so far"),
    ),
    events.Progressed: (("`percent`", "how much is done, of 100"),),
}
"""Keys that the log adds to those of an event."""


def recipe_table() -> str:
    """Return the page of the recipes."""
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
    heads = ("recipe", "task", "what it is", "epochs", "batch per device", "PaddleOCR 3 name", "tolerance of verify")
    return "# Recipes\n\n`ocrfleet recipes NAME` prints one in full. `run.overrides` changes any key.\n\n" + table(
        heads, rows
    )


if __name__ == "__main__":
    main()
