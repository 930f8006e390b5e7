"""A prepared dataset: what the stages after prepare read."""

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from trainer.errors import DatasetError


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
    """Samples left out: `{"source", "reason", "split"}` each."""

    dataset_digest: str = ""
    """sha256 of `run.data.train` as it lies in the bucket: what `ocrfleet data check` prints."""

    ignored: int = 0
    """Regions or lines that are marked as unreadable or difficult: masked for det, left out for rec."""

    split: str = ""
    """How the dataset was divided, in words."""

    @property
    def dictionary(self) -> Path:
        """The characters of the recogniser, one a line (rec only)."""
        return self.root / "dictionary.txt"

    @property
    def dictionary_digest(self) -> str:
        """sha256 of the dictionary, whose order says what the outputs of a recogniser stand for; empty for det."""
        return hashlib.sha256(self.dictionary.read_bytes()).hexdigest() if self.dictionary.exists() else ""

    def samples(self, split: str) -> list[Sample]:
        """Read the samples of a split, in a fixed order."""
        # Not splitlines(): a label may hold U+2028, which is a line's end to it and not to JSON.
        lines = (self.root / f"{split}.jsonl").read_text("utf-8").split("\n")
        return [_sample(self.root, json.loads(line)) for line in lines if line]

    @classmethod
    def load(cls, root: Path) -> "Prepared":
        """Read what prepare wrote into `root`."""
        raw = json.loads((root / "dataset.json").read_text("utf-8"))
        return cls(root=root, **{**raw, "refused": tuple(raw["refused"])})

    def save(self, samples: Mapping[str, Sequence[Sample]]) -> None:
        """Write `<split>.jsonl` for each split, then `dataset.json`."""
        for split, members in samples.items():
            lines = [json.dumps(_row(self.root, sample), ensure_ascii=False) + "\n" for sample in members]
            (self.root / f"{split}.jsonl").write_text("".join(lines), "utf-8", newline="\n")
        facts = {field.name: getattr(self, field.name) for field in fields(self) if field.name != "root"}
        (self.root / "dataset.json").write_text(json.dumps(facts, indent=1, ensure_ascii=False), "utf-8")


def _row(root: Path, sample: Sample) -> dict[str, Any]:
    row = {field.name: getattr(sample, field.name) for field in fields(sample)}
    return {**row, "image": Path(os.path.relpath(sample.image, root)).as_posix()}


def _sample(root: Path, raw: Mapping[str, Any]) -> Sample:
    # Images are named relative to the prepared folder, so that a run's folder can be moved.
    return Sample(**{**raw, "image": root / raw["image"]})


def require_batch(config: Mapping[str, Any], *, samples: int, devices: int) -> None:
    """Refuse a training set that cannot fill one batch, where the recipe drops incomplete batches.

    Raises:
        DatasetError: there is no full batch. PaddleOCR's own loop would train nothing and report success.
    """
    loader = config["Train"]["loader"]
    batch = loader["batch_size_per_card"]
    if loader.get("drop_last", False) and samples < batch * devices:
        raise no_batch(samples=samples, batch=batch, devices=devices)


def no_batch(*, samples: int, batch: int, devices: int) -> DatasetError:
    """Return the error for a training set that cannot fill one batch."""
    return DatasetError(
        f"{samples} training samples cannot fill one batch ({batch} × {devices} device{'' if devices == 1 else 's'}). "
        "Lower run.train.batchSizePerDevice, or add samples."
    )
