"""Checks the parts of a job file that the chart passes to Kubernetes unchanged.

`schema.json` has the types of Kubernetes' API, taken from the package `kubernetes` (docs/kubernetes_types.py). The API
server would refuse the same, but only once the job is submitted, and with Argo CD or Flux far from its author.
"""

import functools
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from trainer.errors import SpecError

if TYPE_CHECKING:
    from trainer.run.spec import Written

Place = tuple[str | int, ...]

PARTS: Final[Mapping[tuple[str, ...], str]] = {
    ("placement", "tolerations"): "List[V1Toleration]",
    ("chart", "affinity"): "V1Affinity",
    ("chart", "extraVolumes"): "List[V1Volume]",
    ("chart", "extraVolumeMounts"): "List[V1VolumeMount]",
    ("chart", "networkPolicy", "extraEgress"): "List[V1NetworkPolicyEgressRule]",
    ("chart", "networkPolicy", "metricsFrom", "namespaceSelector"): "V1LabelSelector",
    ("chart", "networkPolicy", "metricsFrom", "podSelector"): "V1LabelSelector",
}
"""Their types."""

VARIABLE: Final = "V1EnvVarSource"
ENV: Final = ("chart", "extraEnv")
"""A list whose items have a `valueFrom` of that type."""

_CHOICES: Final[Mapping[tuple[str, str], tuple[str, ...]]] = {
    ("V1Toleration", "effect"): ("", "NoSchedule", "PreferNoSchedule", "NoExecute"),
    ("V1Toleration", "operator"): ("", "Equal", "Exists", "Lt", "Gt"),
    ("V1NodeSelectorRequirement", "operator"): ("In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt"),
    ("V1LabelSelectorRequirement", "operator"): ("In", "NotIn", "Exists", "DoesNotExist"),
    ("V1NetworkPolicyPort", "protocol"): ("TCP", "UDP", "SCTP"),
    ("V1EmptyDirVolumeSource", "medium"): ("", "Memory"),
}
"""Strings with few values, from the API reference; "" stands for the default. The API's schema only describes them."""

_AMOUNTS: Final = {"sizeLimit", "divisor", "limits", "requests"}
"""Fields of amounts, which may be numbers."""


def check(values: Mapping[str, Any], *, written: "Written") -> None:
    """Check these parts of a job file.

    Args:
        values: the fields of a job file.
        written: for messages about values that YAML reads as another type.

    Raises:
        SpecError: one line for each fault, with its place.
    """
    found: list[tuple[Place, str, Any]] = [
        (place, kind, part) for place, kind in PARTS.items() if (part := _at(values, place))
    ]
    variables = _at(values, ENV)
    for number, variable in enumerate(variables if isinstance(variables, list) else ()):
        if isinstance(variable, dict) and (part := variable.get("valueFrom")):
            found.append(((*ENV, number, "valueFrom"), VARIABLE, part))
    walk = _Walk(written)
    if faults := [fault for place, kind, part in found for fault in walk(part, kind, place)]:
        raise SpecError("\n".join(faults))


def _at(values: Any, place: Sequence[str]) -> Any:
    for name in place:
        values = values.get(name) if isinstance(values, Mapping) else None
    return values


@functools.cache
def types() -> dict[str, dict[str, str]]:
    """Return the fields of each type, with their types; a `!` marks one that must be there."""
    found: dict[str, dict[str, str]] = json.loads(Path(__file__).with_name("schema.json").read_text("utf-8"))
    return found


class _Walk:
    """Compares a value with a type, and yields a sentence for each fault."""

    def __init__(self, written: "Written") -> None:
        self._written = written

    def __call__(self, value: Any, kind: str, place: Place) -> Iterator[str]:
        if value is None:  # as if it were left out
            return
        if found := re.fullmatch(r"List\[(.+)\]", kind):
            if isinstance(value, list):
                for number, item in enumerate(value):
                    yield from self(item, found[1], (*place, number))
            else:
                yield self._wrong(place, value, "write a list")
        elif found := re.fullmatch(r"Dict\[str, (.+)\]", kind):
            if isinstance(value, dict):
                for name, item in value.items():
                    yield from self(item, found[1], (*place, name))
            else:
                yield self._wrong(place, value, "write a mapping")
        elif kind in types():
            if isinstance(value, dict):
                yield from self._fields(value, kind, place)
            else:
                yield self._wrong(place, value, "write a mapping")
        else:
            yield from self._scalar(value, kind, place)

    def _fields(self, value: Mapping[str, Any], kind: str, place: Place) -> Iterator[str]:
        fields = types()[kind]
        for name, item in value.items():
            here = (*place, name)
            if name not in fields:
                from trainer.run.spec import nearest  # as the model: its import takes longer than a render

                yield f"{_spelled(here)} is not a field.{nearest(name, sorted(fields))}"
                continue
            yield from self(item, fields[name].removesuffix("!"), here)
            choices = _CHOICES.get((kind, name))
            if choices and isinstance(item, str) and item not in choices:
                yield f"{_spelled(here)} is {item!r}. Use one of: {', '.join(filter(None, choices))}."
        for name, part in fields.items():
            if part.endswith("!") and value.get(name) is None:
                yield f"{_spelled((*place, name))} is missing."

    def _scalar(self, value: Any, kind: str, place: Place) -> Iterator[str]:
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if kind in ("str", "datetime") and not isinstance(value, str):
            if isinstance(value, dict | list):
                yield self._wrong(place, value, "write a string")
            elif not (is_number and _AMOUNTS.intersection(map(str, place[-2:]))):
                from trainer.run.spec import not_a_string

                yield not_a_string(_spelled(place), self._written(place, value))
        elif kind == "int" and not (is_number and value == int(value)):
            remedy = "write a whole number"
            yield self._wrong(place, value, f"{remedy}, without quotes" if isinstance(value, str) else remedy)
        elif kind == "bool" and not isinstance(value, bool):
            yield self._wrong(place, value, "write true or false, without quotes")

    def _wrong(self, place: Place, value: Any, remedy: str) -> str:
        return f"{_spelled(place)} is {value!r}: {remedy}."


def _spelled(place: Place) -> str:
    return ".".join(map(str, place))
