"""`--set a.b.c=value`, in Helm's manners."""

import re
from itertools import pairwise
from typing import Any, Final

from trainer.errors import SpecError
from trainer.formats.yaml import parse_yaml

# A step is a name with `\.`, `\[` … escaped, or an index.
_STEP: Final = re.compile(r"\[(?P<index>[0-9]{1,9})\]|(?:^|\.)(?P<name>(?:\\.|[^.\[\]\\])+)")
_NEXT: Final = re.compile(r",(?=(?:apiVersion|name|run|placement|notify|schedule|chart)[.=\[])")
MAX_INDEX: Final = 1000
"""Longest list that `a[N]=` may make; beyond it a typing error would fill the memory."""


def apply(raw: dict[str, Any], text: str) -> None:
    r"""Apply one `--set` option to `raw`.

    The value is YAML: `3` is a number, `true` a boolean, `[a, b]` a list, `"3"` a text. `null` or an empty value
    deletes the key, so its default applies. Dots inside a name are escaped:
    `run.overrides.Global\.epoch_num=20`. `a=1,name=2` sets two fields.

    Raises:
        SpecError: the option is not `path=value`, or the path goes through something that has no fields.
    """
    for part in _NEXT.split(text):
        path, equals, value = part.partition("=")
        if not equals or not path:
            raise SpecError(f"--set {part!r} has no value: write it as path=value, such as run.train.epochs=3.")
        _assign(raw, steps(path), _value(path, value))


def steps(path: str) -> list[str | int]:
    r"""Split a path: `a.b[0].c\.d` → `["a", "b", 0, "c.d"]`."""
    found: list[str | int] = []
    end = 0
    for match in _STEP.finditer(path):
        if match.start() != end:
            break
        name, end = match["name"], match.end()
        found.append(re.sub(r"\\(.)", r"\1", name) if name is not None else int(match["index"]))
    if end != len(path) or not found or isinstance(found[0], int):
        raise SpecError(rf"--set: {path!r} is not a path. Write it as a.b[0].c, with `\.` for a dot inside a name.")
    return found


def _value(path: str, text: str) -> Any:
    # A list in braces is Helm's own spelling; in YAML it would be a mapping.
    if re.fullmatch(r"\{[^:]+\}", text):
        text = f"[{text[1:-1]}]"
    return parse_yaml(text, source=f"--set {path}")


def _assign(raw: dict[str, Any], path: list[str | int], value: Any) -> None:
    place: Any = raw
    for step, following in pairwise(path):
        _fit(place, step, path)
        empty: Any = [] if isinstance(following, int) else {}
        if isinstance(place, list):
            place[step] = empty if place[step] is None else place[step]  # type: ignore[index]
        elif place.get(step) is None:
            place[step] = empty
        place = place[step]
    last = path[-1]
    _fit(place, last, path)
    if value is None and isinstance(place, dict):
        place.pop(last, None)
    else:
        place[last] = value


def _fit(place: Any, step: str | int, path: list[str | int]) -> None:
    """Check that `place` can hold `step`, and extend a list to the index."""
    shown = "".join(f"[{s}]" if isinstance(s, int) else f".{s}" for s in path).lstrip(".")
    if isinstance(step, str) and not isinstance(place, dict):
        raise SpecError(f"--set {shown}: {step!r} cannot be a field of a {_kind(place)}.")
    if isinstance(step, int):
        if not isinstance(place, list):
            raise SpecError(f"--set {shown}: [{step}] cannot be an item of a {_kind(place)}.")
        if step >= MAX_INDEX:
            raise SpecError(f"--set {shown}: [{step}] is too large for a list of the job file.")
        place.extend([None] * (step + 1 - len(place)))


def _kind(value: Any) -> str:
    return {dict: "mapping", list: "list", str: "text", bool: "boolean"}.get(type(value), "number")
