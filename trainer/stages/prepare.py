"""The stage prepare: from what fetch pulled to samples that every later stage can rely on.

Every node does it for itself and gets the same result, which is why nothing here depends on time, on the order
of a directory or on the number of cores.
"""

import shutil
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from trainer.datasets import dictionary, hashing, labels
from trainer.datasets.labels import Problem
from trainer.datasets.prepared import Prepared, Sample
from trainer.datasets.samples import Candidate, Crops, by_content
from trainer.datasets.scan import Survey, cover, survey
from trainer.datasets.splits import Plan, divide
from trainer.errors import DatasetError
from trainer.formats.canonical_json import digest
from trainer.run.spec import RunSpec
from trainer.run.workdir import WorkDir
from trainer.system import atomic
from trainer.telemetry.callbacks import OnProgress

CROPS: Final = "crops"
"""The folder, in the prepared one, of lines that were cut out of pages."""

_NAMED: Final = 20
"""Refused samples that the facts name one by one; `dataset.json` has all."""


def prepare(run: RunSpec, work: WorkDir, progress: OnProgress | None = None) -> dict[str, Any]:
    """Check, crop and divide the dataset of a run, and write it into the prepared folder.

    Everything is written into a folder beside it, which takes its name at the very end. Lines that an
    interrupted or an earlier prepare cut out are taken over, not made again.

    Args:
        run: what to train.
        work: the node's folder; fetch has filled it.
        progress: told how many images are read, of how many.

    Returns:
        Facts for the record and the report.

    Raises:
        DatasetError: the dataset is broken, empty, not the one that `run.data.digest` names, not covered by the
            dictionary, or more of it is refused than `run.data.maxRefused` allows.
    """
    folder = _begin(work.prepared)
    surveys = _read(run, work, Crops(folder / CROPS, by_content), progress)
    used, refused, characters = _covered(run, work, [c for s in surveys for c in s.candidates])
    problems = [problem for s in surveys for problem in s.problems] + refused
    named = surveys[0].labels.splits
    division = divide(used, problems, Plan.of(run), kept_apart=run.data.eval is not None, named=named)
    division.require(run.data.train)
    _require_digest(run, surveys[0])
    if run.task == "rec":
        dictionary.save(characters, folder / "dictionary.txt")
    _tidy(folder / CROPS, used)
    prepared = Prepared(
        root=folder,
        task=run.task,
        digest=digest([[name, c.label, c.digest] for name in hashing.SPLITS for c in division.used[name]]),
        counts={name: len(division.used[name]) for name in hashing.SPLITS},
        max_text_length=max(len(c.label) for c in used) if run.task == "rec" else 0,
        refused=tuple(
            {"source": p.source, "reason": f"{p.reason}{p.detail}", "split": name}
            for name in hashing.SPLITS
            for p in division.refused[name]
        ),
        dataset_digest=surveys[0].digest,
        ignored=sum(s.ignored for s in surveys),
        split=_split(run, surveys[0]),
    )
    prepared.save({name: [_sample(c) for c in members] for name, members in division.used.items()})
    # Thousands of crops. The receipt counts files and bytes, and an image is looked at before it is taken over.
    atomic.replace(folder, work.prepared, durable=False)
    return _facts(run, replace(prepared, root=work.prepared), problems, characters, surveys)


def _begin(final: Path) -> Path:
    """Open the folder to work in; crops of an earlier prepare are in it."""
    folder = final.with_name(f"{final.name}.partial")
    if final.exists():
        # First of all, so that a folder in the making is never taken for a finished one.
        (final / "dataset.json").unlink(missing_ok=True)
        if folder.exists():
            shutil.rmtree(folder)
        atomic.replace(final, folder, durable=False)
    folder.mkdir(parents=True, exist_ok=True)
    for path in folder.iterdir():
        if path.is_file():
            path.unlink()
    return folder


def _read(run: RunSpec, work: WorkDir, crops: Crops, progress: OnProgress | None) -> list[Survey]:
    """Survey the dataset and the one for evaluation; broken label files end it before any image is read."""
    found = [labels.read(work.train_data, run.task)]
    if run.data.eval:
        found.append(labels.read(work.eval_data, run.task, called="eval/"))
    for label_set in found:
        label_set.require_form()
    surveys = [
        survey(label_set, run.task, crops=crops, max_pixels=run.data.max_pixels, progress=progress)
        for label_set in found
    ]
    return [surveys[0], *(other.as_split("eval") for other in surveys[1:])]


def _require_digest(run: RunSpec, found: Survey) -> None:
    if run.data.digest and run.data.digest != found.digest:
        raise DatasetError(
            f"The digest of {run.data.train!r} is {found.digest}, but run.data.digest is {run.data.digest}. "
            "The dataset has changed: undo the change, or write the new digest into the job file."
        )


def _covered(
    run: RunSpec, work: WorkDir, candidates: Sequence[Candidate]
) -> tuple[list[Candidate], list[Problem], list[str]]:
    """Return the lines whose characters are in the dictionary, the other lines as problems, and the dictionary."""
    if run.task == "det" or not candidates:
        return list(candidates), [], []
    if run.data.dictionary == "auto":
        return list(candidates), [], dictionary.build(c.label for c in candidates)
    characters = _given_dictionary(run, work)
    used, refused = cover(candidates, characters)
    if not used:
        known = frozenset(characters)
        lacking = "".join(dictionary.build(dictionary.missing(c.label, known) for c in candidates))
        raise DatasetError(
            f"{refused[0].sentence}. No label fits the dictionary {run.data.dictionary!r}: the {len(refused)} labels "
            f"also need {lacking!r}. Choose another dictionary, or `auto`."
        )
    return used, refused, characters


def _given_dictionary(run: RunSpec, work: WorkDir) -> list[str]:
    if "://" in run.data.dictionary:
        return dictionary.load(work.given_dictionary, called=run.data.dictionary.rsplit("/", 1)[-1])
    # Imported late: only this one way needs PaddleOCR's tree.
    from trainer.ppocr import tree

    return dictionary.load(tree.built_in_dictionary(run.data.dictionary))


def _tidy(crops: Path, used: Iterable[Candidate]) -> None:
    """Remove what an earlier or an interrupted prepare left and this one does not use."""
    if crops.exists():
        wanted = {c.image for c in used}
        for path in crops.rglob("*"):
            if path.is_file() and path not in wanted:
                path.unlink()


def _sample(c: Candidate) -> Sample:
    return Sample(image=c.image, label=c.label, source=c.source, width=c.width, height=c.height)


def _split(run: RunSpec, first: Survey) -> str:
    """Return in words how the dataset is divided."""
    if first.labels.divided:
        return "by the names of the label files"
    if run.data.eval:
        return "run.data.eval is the evaluation split"
    return f"{run.data.split} by page, seed {run.train.seed}"


def _facts(
    run: RunSpec, prepared: Prepared, problems: Sequence[Problem], characters: Sequence[str], surveys: Sequence[Survey]
) -> dict[str, Any]:
    return {
        "form": surveys[0].labels.form,
        "split": prepared.split,
        "samples": dict(prepared.counts),
        "images": sum(s.images for s in surveys),
        "turned": sum(s.turned for s in surveys),
        "laid_on_white": sum(s.laid_on_white for s in surveys),
        "characters": len(characters),
        "max_text_length": prepared.max_text_length,
        "refused": len(problems),
        "reasons": dict(Counter(p.reason for p in problems)),
        "first_refused": [p.sentence for p in problems[:_NAMED]],
        "ignored": prepared.ignored,
        "digest": prepared.digest,
        "dictionary_digest": prepared.dictionary_digest,
        "dataset_digest": prepared.dataset_digest,
    }
