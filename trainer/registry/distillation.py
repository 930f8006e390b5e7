"""What is told of a distillation: its networks, which of them was picked, and what its teacher was good for.

Read from what the stages left in the work folder, kept in the manifest, told by the report and `ocrfleet models show`.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from trainer.run.workdir import WorkDir

_PARAMETER: Final = 4
"""Bytes of a parameter: weights are published and exported as float32."""


@dataclass(frozen=True, kw_only=True)
class Network:
    """One network of a distillation, when the published model was kept."""

    name: str
    """As the recipe or `run.distill.networks` calls it."""

    frozen: bool
    """Whether it only taught."""

    parameters: int
    """Numbers that it reads with; what serves its training only, a second head for one, is not counted."""

    metrics: Mapping[str, float]
    """What it reached on the eval split."""

    seconds_per_image: float | None = None
    """How long the network alone computed for an image, where it was measured. Compare within one run only."""

    @property
    def bytes(self) -> int:
        """Size of its parameters."""
        return self.parameters * _PARAMETER


@dataclass(frozen=True, kw_only=True)
class Gain:
    """The published model against the same network trained without a teacher."""

    baseline: str
    """The other one, as the job file names it."""

    said: str
    """The comparison in a sentence, or why there is none."""

    run: str | None = None
    """The run that it is. None: it was not found."""

    metrics: Mapping[str, float] | None = None
    """What that run reached, on whatever it was judged."""

    gain: Mapping[str, float] | None = None
    """By how much the distilled one is better, for each metric. None: they were judged on different samples."""


@dataclass(frozen=True, kw_only=True)
class Distillation:
    """Several networks that were trained together, and what became of them."""

    picked: str
    """The network that is published."""

    why: str
    """Why that one, in a sentence."""

    fine_tuned_epochs: int
    """Epochs for which it was trained by itself after that."""

    networks: tuple[Network, ...]
    """All of them, in the recipe's order."""

    exported_bytes: int | None = None
    """Size of the published model's parameters, without what only training needs. None: not exported yet."""

    gain: Gain | None = None
    """None: the job file names no baseline."""

    def with_gain(self, gain: Gain | None) -> "Distillation":
        """Return a copy with the result of a comparison."""
        return replace(self, gain=gain)


def read(work: WorkDir) -> Distillation | None:
    """Read what training and evaluation have left; None where one network was trained by itself."""
    facts = _facts(work.training_facts).get("distillation")
    if not facts:
        return None
    exported = work.inference / "inference.pdiparams"
    return Distillation(
        picked=facts["picked"],
        why=facts["why"],
        fine_tuned_epochs=facts["fine_tuned_epochs"],
        networks=tuple(_network(name, about) for name, about in facts["networks"].items()),
        exported_bytes=exported.stat().st_size if exported.exists() else None,
    )


def _network(name: str, about: Mapping[str, Any]) -> Network:
    return Network(
        name=name,
        frozen=about["frozen"],
        parameters=about["parameters"],
        metrics=about["metrics"],
        seconds_per_image=about.get("seconds_per_image"),
    )


def _facts(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text("utf-8")) if path.exists() else {}
    return found
