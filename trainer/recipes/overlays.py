"""The built-in recipes: YAML overlays beside this file, each on top of the one it extends."""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from typing import Any

from trainer.errors import SpecError
from trainer.formats.yaml import parse_yaml
from trainer.run.spec import nearest


@dataclass(frozen=True, kw_only=True)
class Overlay:
    """A built-in recipe before a run is known: `auto` stands where the dataset decides."""

    name: str
    """As in `run.recipe`."""

    task: str
    """`det` or `rec`."""

    summary: str
    """One line for `ocrfleet recipes`."""

    model_name: str
    """What paddlex calls a model that is read in this way."""

    tolerance: float
    """Largest difference allowed between outputs of the trained and of the exported model."""

    tuned_batch: int
    """The global batch that the learning rate was tuned for."""

    config: Mapping[str, Any]
    """PaddleOCR's configuration."""

    column_width: int | None = None
    """rec: pixels of a line for each place where a character can be read. None: not known."""

    requires: str | None = None
    """The first PaddleOCR that has its network, where the packaged tree has not: `3.7.0`."""

    networks: Mapping[str, Any] = field(default_factory=dict)
    """Of a distillation: its networks, each with what it has in place of a part of `config`'s architecture."""

    losses: Sequence[Mapping[str, Any]] = ()
    """Of a distillation: what teaches whom."""

    plain: str | None = None
    """Of a distillation: the recipe that trains one network by itself."""


def names() -> list[str]:
    """Return the names of all built-in recipes, sorted."""
    files = (entry.name for entry in resources.files(__package__).iterdir())
    return sorted(name[:-5] for name in files if name.endswith(".yaml") and not name.startswith("_"))


def overlay(name: str) -> Overlay:
    """Read a built-in recipe with all that it extends.

    Raises:
        SpecError: there is no recipe of this name; suggests the nearest one.
    """
    if name not in names():
        raise SpecError(f"run.recipe {name!r} is not a recipe.{nearest(name, names())}")
    raw = copy.deepcopy(_merged(name))
    requires = raw.get("requires")
    return Overlay(
        name=name,
        task=raw["task"],
        summary=raw["summary"] + (f". Needs PaddleOCR {requires} in PADDLEOCR_HOME" if requires else ""),
        model_name=raw["modelName"],
        tolerance=raw["tolerance"],
        tuned_batch=raw["tunedBatch"],
        config=raw["config"],
        column_width=raw.get("columnWidth"),
        requires=requires,
        networks=raw.get("networks", {}),
        losses=raw.get("losses", ()),
        plain=raw.get("plain"),
    )


def merge(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Lay one mapping over another: mappings merge, everything else (lists too) is replaced."""
    result = dict(below)
    for key, value in above.items():
        old = result.get(key)
        result[key] = merge(old, value) if isinstance(old, Mapping) and isinstance(value, Mapping) else value
    return result


@cache
def _merged(name: str) -> dict[str, Any]:
    text = resources.files(__package__).joinpath(f"{name}.yaml").read_text("utf-8")
    raw: dict[str, Any] = parse_yaml(text, source=f"{name}.yaml")
    below = raw.pop("extends", None)
    return merge(_merged(below), raw) if below else raw
