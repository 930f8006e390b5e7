"""The one-line summary of a finished stage, made of its facts."""

from collections.abc import Mapping
from typing import Any

from trainer.telemetry.sentences import metrics
from trainer.telemetry.units import size


def summary(stage: str, facts: Mapping[str, Any]) -> str:
    """Return the one-line summary of a finished stage."""
    match stage:
        case "fetch":
            weights = "".join(
                f"; {name} of run {origin['run']}" for name, origin in facts["weights"].items() if origin["run"]
            )
            moved = f"{facts['train']['files']} files, {size(facts['train']['bytes'])}"
            return f"{moved}, from {facts['train']['uri']}{weights}"
        case "prepare":
            samples = ", ".join(f"{name} {count}" for name, count in facts["samples"].items())
            characters = f", {facts['characters']} characters" if facts.get("characters") else ""
            return f"{samples}{characters}, {facts['refused']} refused"
        case "rehearse":
            return f"trains, evaluates, exports, and paddleocr {facts['paddleocr']} reads the export"
        case "train":
            return f"{facts['steps']} steps, best at step {facts['best']['step']}: {metrics(facts['best']['metrics'])}"
        case "evaluate":
            return f"{metrics(facts['metrics'])} on {facts['samples']} samples of the {facts['split']} split"
        case "export":
            return f"{facts['model_name']}, {size(facts['bytes'])}"
        case "verify":
            users = facts["paddleocr"]
            return f"paddleocr {users['version']} agrees with the trained model on {users['samples']} samples"
    return ""
