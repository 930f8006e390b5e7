"""A prepared dataset: what the stages after prepare read."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Sample:
    """One image with its label."""

    image: Path
    """The image file."""

    label: str
    """rec: the text. det: a JSON list of `{"transcription", "points", "difficult"}`, as PPOCRLabel writes it."""

    source: str
    """Where the label stands, such as `Label.txt:12`, for messages."""

    width: int
    """Pixels, as stored."""

    height: int
    """Pixels, as stored."""


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """What prepare found and made, as `dataset.json` in the prepared folder has it."""

    root: Path
    """The prepared folder."""

    task: str
    """`det` or `rec`."""

    digest: str
    """sha256 over all samples of all splits in order: label, image digest. The same on every node."""

    counts: Mapping[str, int]
    """Samples of each split: `train`, `eval`, `test`."""

    max_text_length: int
    """Characters of the longest label; 0 for det."""

    refused: tuple[Mapping[str, Any], ...]
    """Samples left out: `{"source", "reason"}` each."""

    @property
    def dictionary(self) -> Path:
        """The characters of the recogniser, one a line (rec only)."""
        return self.root / "dictionary.txt"

    def samples(self, split: str) -> list[Sample]:
        """Read the samples of a split, in a fixed order."""
        lines = (self.root / f"{split}.jsonl").read_text("utf-8").splitlines()
        return [_sample(self.root, json.loads(line)) for line in lines]

    @classmethod
    def load(cls, root: Path) -> "Prepared":
        """Read what prepare wrote into `root`."""
        raw = json.loads((root / "dataset.json").read_text("utf-8"))
        return cls(root=root, **raw)


def _sample(root: Path, raw: Mapping[str, Any]) -> Sample:
    # Images are named relative to the prepared folder, so that a run's folder can be moved.
    return Sample(**{**raw, "image": root / raw["image"]})
