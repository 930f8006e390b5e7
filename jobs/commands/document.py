"""Data as YAML or JSON, to stdout."""

import json
from typing import Any

import msgspec

from trainer.formats.yaml import to_yaml


def document(value: Any, output: str | None) -> None:
    """Print data as YAML, or as JSON when that is asked for."""
    if output == "json":
        # A list of a thousand runs is 2 MB; Python's own writer takes three times as long.
        print(msgspec.json.format(json.dumps(value, ensure_ascii=False), indent=2))
    else:
        print(to_yaml(value).rstrip())
