"""Writes jobs/kube/schema.json: the types of Kubernetes that a job file may contain, from the package `kubernetes`."""

import json
import re
from pathlib import Path
from typing import Final

from kubernetes.client import models

from jobs.kube.schema import PARTS, VARIABLE

FILE: Final = Path(__file__).parents[1] / "jobs" / "kube" / "schema.json"


def write() -> None:
    """Write it, a type a line."""
    lines = [f"{json.dumps(name)}: {json.dumps(fields)}" for name, fields in sorted(types().items())]
    FILE.write_text("{\n" + ",\n".join(lines) + "\n}\n", "utf-8", newline="\n")


def types() -> dict[str, dict[str, str]]:
    """Return the fields of each type, with their types; a `!` marks one that must be there."""
    found: dict[str, dict[str, str]] = {}
    names = [VARIABLE, *PARTS.values()]
    while names:
        name = re.sub(r"^(List\[|Dict\[str, )+|\]+$", "", names.pop())
        if name not in found and hasattr(models, name):
            cls = getattr(models, name)
            required = {info.serialization_alias or own for own, info in cls.model_fields.items() if info.is_required()}
            named = {cls.attribute_map[field]: kind for field, kind in cls.openapi_types.items()}
            found[name] = {field: kind + "!" * (field in required) for field, kind in named.items()}
            names += cls.openapi_types.values()
    return found
