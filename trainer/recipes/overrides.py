"""Dotted names into a PaddleOCR configuration: find the place, check the value, set it.

A step of a name is a key, an index of a list, or, in a list of one-key mappings such as `transforms`, that key:
`Train.dataset.transforms.EastRandomCropData.size`. A value that is a mapping with a `name` replaces the whole
component; any other mapping is read as one override for each of its keys.
"""

import copy
import difflib
from collections.abc import Iterator, Mapping
from typing import Any

from trainer.errors import SpecError
from trainer.recipes.known import LEAST, OPTIONAL, OWNED, Kind

_IN_WORDS: Mapping[Kind, str] = {
    "number": "a number",
    "whole": "a whole number",
    "flag": "true or false",
    "text": "a string",
    "list": "a list",
    "mapping": "a mapping",
    "null": "null",
}


def apply(config: Mapping[str, Any], overrides: Mapping[str, Any], *, source: str) -> dict[str, Any]:
    """Set dotted keys in a copy of a configuration.

    Args:
        config: the whole configuration; left as it is.
        overrides: values by dotted name, as in `run.overrides`.
        source: what the configuration is, for messages: `recipe rec-crnn-mobile` or `run.config`.

    Raises:
        SpecError: a name is unknown or set by the trainer, or its value has the wrong type; one sentence per fault.
    """
    result = copy.deepcopy(dict(config))
    faults: list[str] = []
    # Shallow names first, so that `Optimizer.lr` (whole) and `Optimizer.lr.gamma` may stand in any order.
    for name, value in sorted(flatten(overrides), key=lambda pair: (pair[0].count("."), pair[0])):
        fault = _fault(result, name, value, source=source)
        if fault:
            faults.append(f"run.overrides {fault}")
        else:
            _set(result, name.split("."), copy.deepcopy(value))
    if faults:
        raise SpecError("\n".join(faults))
    return result


def fits(config: Mapping[str, Any], name: str, value: object) -> bool:
    """Return whether a value may be set under a dotted name that is not part of the network or its loss."""
    return name.split(".")[0] not in ("Architecture", "Loss") and _fault(dict(config), name, value, source="") is None


def flatten(overrides: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """Return overrides as pairs of a dotted name and a value; a mapping without a `name` is flattened."""
    pairs: list[tuple[str, Any]] = []
    for name, value in overrides.items():
        if isinstance(value, Mapping) and value and "name" not in value:
            pairs += flatten({f"{name}.{key}": inner for key, inner in value.items()})
        else:
            pairs.append((str(name), value))
    return pairs


def dotted(node: object, prefix: str = "") -> Iterator[str]:
    """Name every place in a configuration: sections, components and values."""
    if prefix:
        yield prefix.removesuffix(".")
    if isinstance(node, Mapping):
        for key, value in node.items():
            yield from dotted(value, f"{prefix}{key}.")
    elif isinstance(node, list):
        for index, item in enumerate(node):
            if _operator(item) is not None:
                yield from dotted(item, prefix)
            elif isinstance(item, Mapping | list):
                yield from dotted(item, f"{prefix}{index}.")


def _fault(config: dict[str, Any], name: str, value: object, *, source: str) -> str | None:
    """Return what is wrong with an override, or None."""
    owned = next((known for known in _names_set(name, value) if known in OWNED), None)
    if owned:
        return f"{owned!r} is set by the trainer. {OWNED[owned]}"
    canonical = _canonical(config, name.split("."))
    if canonical is None:
        return f"{name!r} is not a key of {source}.{_nearest(config, name)}"
    old = _get(config, name.split("."))
    return _value_fault(canonical, {} if old is None and _holds_arguments(config, name) else old, value)


def _holds_arguments(config: Mapping[str, Any], name: str) -> bool:
    """Return whether a name is an operator of a list like `transforms`, as in `transforms.ToCHWImage`."""
    *path, _ = name.split(".")
    if path and path[-1].isdecimal():
        path.pop()
    return isinstance(_get(config, path), list)


def _names_set(name: str, value: object) -> Iterator[str]:
    yield name
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _names_set(f"{name}.{key}", inner)


def _value_fault(name: str, old: object, value: object) -> str | None:
    wanted = OPTIONAL.get(name) or _kind(old)
    given = _kind(value)
    if wanted == "number" and given == "whole":
        given = "number"
    if wanted == "whole" and name not in OPTIONAL and given == "number":
        given = "whole"  # `alpha: 5` in a configuration does not mean that 4.5 is wrong
    # null switches a section or an operator's arguments off, and a section that is off may be switched on.
    if given not in (wanted, "null") and wanted != "null":
        return f"{name!r} is {value!r}: write {_IN_WORDS[wanted]}."
    if given == "null" and (wanted not in ("null", "mapping") or "." not in name):
        return f"{name!r} is null: write {_IN_WORDS[wanted]}."
    if isinstance(value, int) and value < LEAST.get(name, value):
        return f"{name!r} is {value}: write {LEAST[name]} or more."
    return None


def _kind(value: object) -> Kind:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "flag"
    if isinstance(value, int):
        return "whole"
    if isinstance(value, float):
        return "number"
    if isinstance(value, list | tuple):
        return "list"
    return "mapping" if isinstance(value, Mapping) else "text"


def _operator(item: object) -> str | None:
    """Name an item of a list like `transforms`: the one key of a mapping that holds arguments or null."""
    if not isinstance(item, Mapping) or len(item) != 1:
        return None
    ((key, value),) = item.items()
    return str(key) if value is None or isinstance(value, Mapping) else None


def _step(node: object, step: str) -> tuple[Any, Any] | None:
    """Find the container and key of one step below a node."""
    if isinstance(node, Mapping):
        return (node, step) if step in node else None
    if isinstance(node, list):
        if step.isdecimal() and int(step) < len(node):
            return node, int(step)
        return next(((item, step) for item in node if _operator(item) == step), None)
    return None


def _canonical(config: Mapping[str, Any], steps: list[str]) -> str | None:
    """Spell a name with operators in place of their indices; None when there is no such place."""
    node: Any = config
    spelled: list[str] = []
    for place, step in enumerate(steps):
        found = _step(node, step)
        if found is None:
            name = ".".join([*spelled, *steps[place:]])
            # A key that PaddleOCR knows may be new, but not the component that it belongs to.
            new = place == len(steps) - 1 and (node is None or isinstance(node, Mapping)) and name in OPTIONAL
            return name if new else None
        container, key = found
        node = container[key]
        operator = _operator(node) if isinstance(container, list) else None
        # `transforms.3.EastRandomCropData.size` and `transforms.EastRandomCropData.size` are one place.
        spelled += [] if operator else [str(key)]
    return ".".join(spelled) if spelled else None


def _get(config: Mapping[str, Any], steps: list[str]) -> Any:
    node: Any = config
    for step in steps:
        found = _step(node, step)
        if found is None:
            return None
        node = found[0][found[1]]
    return node


def _set(config: dict[str, Any], steps: list[str], value: object) -> None:
    node: Any = config
    for step in steps[:-1]:
        container, key = _step(node, step) or (node, step)
        if container[key] is None:
            container[key] = {}
        node = container[key]
    container, key = _step(node, steps[-1]) or (node, steps[-1])
    container[key] = value


def _nearest(config: Mapping[str, Any], name: str) -> str:
    """Suggest the likely name for a misspelt one; else list the names where it goes wrong."""
    places = set(dotted(config))
    places |= {known for known in OPTIONAL if known.rpartition(".")[0] in places}
    right: list[str] = []
    for step in name.split("."):
        beside = _below(places, ".".join(right))
        close = [step] if step in beside else difflib.get_close_matches(step, beside, n=1, cutoff=0.6)
        if not close:
            break
        right += close
    else:
        return f" Did you mean {'.'.join(right)!r}?"
    by_end = {place.rpartition(".")[2]: place for place in sorted(places, reverse=True)}
    whole = [place for place in sorted(places) if place.endswith(f".{name}")]
    close = whole or [by_end[end] for end in difflib.get_close_matches(name, by_end, n=1, cutoff=0.8)]
    if close:
        return f" Did you mean {close[0]!r}?"
    parent = ".".join(right)
    here = [f"{parent}.{child}".lstrip(".") for child in _below(places, parent)]
    if not here:
        return f" To set it, override {parent} as a whole, including its `name`."
    settable = ", ".join(place.rpartition(".")[2] for place in here if place not in OWNED)
    component = f" To set another key, override {parent} as a whole, including its `name`."
    hint = component if f"{parent}.name" in places else ""
    return f" Keys {f'in {parent}' if parent else 'there'}: {settable}.{hint}"


def _below(places: set[str], parent: str) -> list[str]:
    return sorted(place.rpartition(".")[2] for place in places if place.rpartition(".")[0] == parent)
