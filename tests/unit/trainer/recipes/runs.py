"""Runs and configurations for the tests of recipes."""

import copy
from typing import Any

from trainer import recipes
from trainer.run.spec import RunSpec, from_dict


def run(recipe: str = "rec-crnn-mobile", **fields: Any) -> RunSpec:
    task = fields.pop("task", recipe[:3])
    chosen = {"recipe": recipe} if "config" not in fields else {}
    raw = {"task": task, "data": {"train": "s3://a/b"}, "output": "s3://ocr-models/x/"}
    return from_dict(RunSpec, raw | chosen | fields, where="run")


def inline_config(name: str = "rec-crnn-mobile") -> dict[str, Any]:
    return copy.deepcopy(recipes.load(name).config)
