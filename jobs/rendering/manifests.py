"""Objects of Kubernetes ⇄ text: reads what Helm writes, and writes what kubectl reads the same."""

import json
from collections.abc import Iterable, Sequence
from typing import Any, Final

import yaml

from jobs.kube.objects import Object
from trainer.formats.yaml import JobDumper, JobLoader


def read(text: str) -> list[Object]:
    """Read YAML documents; those without content are left out."""
    return [each for each in yaml.load_all(text, _Loader) if each]


def write(objects: Sequence[Object], form: str = "yaml") -> str:
    """Write objects for kubectl: as YAML documents, or as JSON; there several are a List, as kubectl has it."""
    if form == "json":
        whole = objects[0] if len(objects) == 1 else {"apiVersion": "v1", "kind": "List", "items": list(objects)}
        return json.dumps(whole, indent=2, ensure_ascii=False) + "\n"
    written: str = yaml.dump_all(objects, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=_ENDLESS)
    return written


def name_of(each: Object) -> str:
    """Return an object's kind and name, as kubectl says it: `job/slips-rec-1a2b3c4d-5e6f`."""
    return f"{each['kind'].lower()}/{each['metadata']['name']}"


def file_names(objects: Iterable[Object], form: str = "yaml") -> dict[str, Object]:
    """Return each object the name of its file: `<kind>-<name>.yaml`."""
    return {f"{name_of(each).replace('/', '-')}.{form}": each for each in objects}


def holds(text: str, each: Object) -> bool:
    """Check whether a file's text is a form of this object: one of its kind and name, and nothing else."""
    try:
        found = list(yaml.load_all(text, _Loader))
        return [name_of(one) for one in found] == [name_of(each)]
    except (yaml.YAMLError, ValueError, LookupError, TypeError, AttributeError):
        return False


_ENDLESS: Final = 1 << 30
"""Columns: a run.yaml stays one line, to be copied out."""

# libyaml's where PyYAML was built with it: ten times as fast.
_FastLoader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_FastDumper: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)


class _Loader(_FastLoader):  # type: ignore[misc]
    """Reads numbers and booleans as Kubernetes does."""

    bool_values = JobLoader.bool_values
    yaml_constructors = JobLoader.yaml_constructors
    yaml_implicit_resolvers = JobLoader.yaml_implicit_resolvers


class _Dumper(_FastDumper):  # type: ignore[misc]
    """Quotes what Kubernetes would take for a number or a boolean, and writes every object in full."""

    yaml_implicit_resolvers = JobDumper.yaml_implicit_resolvers

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _text(dumper: Any, value: str) -> yaml.ScalarNode:
    # A block is written only where no line would change; the emitter itself falls back to quotes.
    node: yaml.ScalarNode = dumper.represent_scalar(
        "tag:yaml.org,2002:str", value, style="|" if "\n" in value else None
    )
    return node


_Dumper.add_representer(str, _text)
