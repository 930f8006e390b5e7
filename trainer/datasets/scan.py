"""Reads a whole dataset once: every label, every image. What may be trained on, and why the rest may not.

`prepare` and `ocrfleet data` meet here, so that a dataset which `data check` finds good is one that a run takes.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal

from trainer import contract
from trainer.datasets import dictionary, image_workers, labels
from trainer.datasets.headers import ImageError
from trainer.datasets.image_workers import Reading
from trainer.datasets.labels import Entry, LabelSet, Problem
from trainer.datasets.samples import Candidate, Crops
from trainer.formats.canonical_json import canonical
from trainer.telemetry.callbacks import OnProgress


@dataclass(frozen=True, kw_only=True)
class Survey:
    """What is in a dataset: every sample is a candidate, a problem, or ignored."""

    labels: LabelSet
    candidates: tuple[Candidate, ...]

    problems: tuple[Problem, ...]
    """Of the label files and of the images, in that order."""

    ignored: int
    """Regions or lines marked as unreadable or difficult, or that nobody has read yet (rec)."""

    images: int
    """Images that the label files name, with those that are refused."""

    turned: int
    """Images that were turned, as their EXIF orientation says."""

    laid_on_white: int
    """Images that were laid on white, since some of them is transparent."""

    digest: str
    """sha256 over all labels and images; `run.data.digest` pins it."""

    def as_split(self, name: str) -> "Survey":
        """Return the same with all samples in one split."""
        return replace(
            self,
            candidates=tuple(replace(c, split=name) for c in self.candidates),
            problems=tuple(replace(p, split=name) for p in self.problems),
        )


def survey(
    found: LabelSet,
    task: Literal["det", "rec"],
    *,
    crops: Crops | None = None,
    max_pixels: int | None = None,
    progress: OnProgress | None = None,
) -> Survey:
    """Read every image of a dataset, and separate the samples that a task can use from the problems.

    Args:
        found: the dataset's labels.
        task: det: a sample is a page. rec: a sample is a line, cut out of its page when that is what is labelled.
        crops: where lines are written that are cut out; without it nothing is written.
        max_pixels: `run.data.maxPixels`.
        progress: told how many images are read.
    """
    entries = found.entries
    reading = Reading(
        task=task, of_lines=found.kind == "rec", crops=crops, max_pixels=max_pixels or contract.MAX_PIXELS
    )
    looks = image_workers.read([(entry, found.root / entry.image) for entry in entries], reading, progress=progress)
    content = hashlib.sha256()
    usable: list[Candidate] = []
    problems = list(found.problems)
    ignored = found.ignored
    turned = laid_on_white = 0
    for entry, look in zip(entries, looks, strict=True):
        if isinstance(look, ImageError):
            problems += entry.refused(task, look.reason, about="image", detail=f": {entry.image!r}{look.detail}")
            continue
        usable += look.candidates
        problems += look.problems
        ignored += look.ignored
        turned += look.turned
        laid_on_white += look.laid_on_white
        content.update(_record(entry, look.digest))
    return Survey(
        labels=found,
        candidates=tuple(usable),
        problems=tuple(problems),
        ignored=ignored,
        images=len(entries) + found.missing,
        turned=turned,
        laid_on_white=laid_on_white,
        digest=content.hexdigest(),
    )


def _record(entry: Entry, digest: str) -> bytes:
    label = entry.text if entry.text is not None else labels.spell(entry.regions, masked=False)
    return f"{canonical([entry.image, entry.split, label, digest])}\n".encode()


def cover(lines: Iterable[Candidate], characters: Iterable[str]) -> tuple[list[Candidate], list[Problem]]:
    """Separate the lines that a dictionary covers from those that it does not.

    PaddleOCR would silently train on the rest of a label whose characters are not all in the dictionary.
    """
    known = frozenset(characters)
    usable: list[Candidate] = []
    refused: list[Problem] = []
    for line in lines:
        lacking = dictionary.missing(line.label, known)
        if not lacking:
            usable.append(line)
            continue
        refused.append(
            Problem(
                source=line.source,
                reason="the dictionary lacks characters of the label",
                about="label",
                detail=f": {lacking!r}",
                group=line.group,
                split=line.split,
            )
        )
    return usable, refused
