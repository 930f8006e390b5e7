"""What `ocrfleet data check`, `split` and `crop` do, on folders of this machine."""

import os
import shutil
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from trainer.datasets import dictionary, hashing, labels
from trainer.datasets import splits as division
from trainer.datasets.labels import Entry, LabelSet, Problem
from trainer.datasets.samples import Crops
from trainer.datasets.scan import cover, survey
from trainer.datasets.splits import Division, Plan
from trainer.errors import DatasetError, SpecError
from trainer.system import atomic
from trainer.telemetry.callbacks import OnProgress

LABEL_NAMES: Final = {"train": "train", "eval": "val", "test": "test"}
"""A split's name in the label files that are written; PaddleOCR's own say `val`."""


@dataclass(frozen=True, kw_only=True)
class Findings:
    """The result of `check`: what a dataset contains, and what a run would refuse."""

    root: Path
    task: str

    form: str
    """What the folder is, in words."""

    images: int
    """Images that the label files name."""

    turned: int
    """Images that a run turns, as their EXIF orientation says."""

    laid_on_white: int
    """Images that a run lays on white, since some of them is transparent."""

    samples: int
    """What a run could use: pages for det, lines for rec."""

    splits: Mapping[str, int]
    """Samples of each split, as a run would divide them."""

    ignored: int
    """Regions or lines that are marked as unreadable or difficult."""

    characters: tuple[str, ...]
    """All characters of the labels but the space (rec)."""

    max_text_length: int
    """Characters of the longest label (rec); 0 for det."""

    digest: str
    """What `run.data.digest` pins."""

    problems: tuple[Problem, ...]
    """Everything that is refused, each with its place."""

    fatal: str | None
    """The error that would end a run; None when it would train."""


def check(
    root: Path,
    task: Literal["det", "rec"],
    *,
    characters: Path | None = None,
    plan: Plan | None = None,
    part: Literal["train", "eval"] | None = None,
    max_pixels: int | None = None,
    progress: OnProgress | None = None,
) -> Findings:
    """Read every label line and every image of a dataset, as `prepare` would, and write nothing.

    Args:
        root: the dataset's folder.
        task: what it is for.
        characters: a dictionary file that must cover the labels (rec).
        plan: how a run would divide it, and how much it may refuse; unset: the job file's defaults.
        part: what the dataset is for, when another is there for the rest; unset: it is divided.
        max_pixels: `run.data.maxPixels`.
        progress: told how many images are read.

    Raises:
        DatasetError: there is no label file for the task at all, or the dictionary is broken.
    """
    found = labels.read(root, task)
    result = survey(found, task, max_pixels=max_pixels, progress=progress)
    if part == "eval":
        result = result.as_split("eval")
    texts = [c.label for c in result.candidates] if task == "rec" else []
    samples, uncovered = list(result.candidates), list[Problem]()
    if characters and task == "rec":
        samples, uncovered = cover(samples, dictionary.load(characters))
    problems = (*result.problems, *uncovered)
    named = frozenset[str]() if part == "eval" else found.splits
    divided = division.divide(samples, problems, plan or Plan(), kept_apart=part is not None, named=named)
    return Findings(
        root=found.root,
        task=task,
        form=found.form,
        images=result.images,
        turned=result.turned,
        laid_on_white=result.laid_on_white,
        samples=len(samples),
        splits={name: len(members) for name, members in divided.used.items()},
        ignored=result.ignored,
        characters=tuple(dictionary.build(texts)),
        max_text_length=max(map(len, texts), default=0),
        digest=result.digest,
        problems=problems,
        fatal=_fatal(found, divided, str(root), splits=(part,) if part else hashing.SPLITS),
    )


def _fatal(found: LabelSet, divided: Division, where: str, *, splits: Sequence[str]) -> str | None:
    try:
        found.require_form()
        divided.require(where, splits=splits)
    except DatasetError as error:
        return str(error)
    return None


@dataclass(frozen=True, kw_only=True)
class Written:
    """What `divide` or `crop` wrote."""

    root: Path
    """The new dataset's folder."""

    label_files: Mapping[str, int]
    """Lines of each label file."""

    problems: tuple[Problem, ...]
    """What was left out, each with its place."""


def divide(root: Path, out: Path, *, task: Literal["det", "rec"], shares: str = "6:2:2", seed: int = 42) -> Written:
    """Copy a dataset into a new folder with a label file for each split: train.txt, val.txt, test.txt.

    The division is the one that a run with these shares and this seed would make; a run keeps it.

    Raises:
        DatasetError: a label file is broken, or a split with a share stays empty.
        SpecError: `out` is not a new folder.
    """
    found = _sound(root, task)
    partial = _begin(out, found.root)
    homes = hashing.assign(
        dict.fromkeys(entry.group for entry in found.entries), shares=hashing.shares_of(shares), seed=seed
    )
    lines: dict[str, list[str]] = {name: [] for name in hashing.SPLITS}
    for entry in found.entries:
        target = partial / "images" / entry.image
        target.parent.mkdir(parents=True, exist_ok=True)
        # No hard link: PPOCRLabel turns images in place.
        shutil.copyfile(found.root / entry.image, target)
        lines[entry.split or homes[entry.group]].append(f"images/{entry.image}\t{_label(entry)}\n")
    files = {f"{LABEL_NAMES[name]}.txt": members for name, members in lines.items() if members}
    return _finish(partial, out, files, found.problems)


def crop(root: Path, out: Path, *, progress: OnProgress | None = None) -> Written:
    """Cut the lines out of a det dataset, into a new rec dataset: `crop_img/` and `rec_gt.txt`, as PPOCRLabel has them.

    A divided dataset gives `rec_gt_train.txt` and so on; of an undivided one, a run still divides by page, since
    the names of the crops tell it.

    Raises:
        DatasetError: the dataset is broken, or has no pages to cut lines from.
        SpecError: `out` is not a new folder.
    """
    found = _sound(root, "det")
    partial = _begin(out, found.root)
    names = _Names(Counter(_stem(entry) for entry in found.entries))
    result = survey(found, "rec", crops=Crops(partial / "crop_img", names), progress=progress)
    if not result.candidates:
        raise DatasetError(f"{str(root)!r} has no usable sample. `ocrfleet data check` says why.")
    lines: dict[str, list[str]] = {}
    for c in result.candidates:
        file = f"rec_gt_{LABEL_NAMES[c.split]}.txt" if c.split else "rec_gt.txt"
        lines.setdefault(file, []).append(f"{c.image.relative_to(partial).as_posix()}\t{c.label}\n")
    return _finish(partial, out, lines, result.problems)


@dataclass(frozen=True)
class _Names:
    """Names crops after their page, as PPOCRLabel does; a class, since other processes need it."""

    stems: Counter[str]
    """How many pages have each name without its suffix."""

    def __call__(self, entry: Entry, number: int, page: str) -> str:
        page_name = _stem(entry) if self.stems[_stem(entry)] == 1 else entry.image
        return f"{page_name}_crop_{number - 1}.png"


def _sound(root: Path, task: Literal["det", "rec"]) -> LabelSet:
    found = labels.read(root, task)
    found.require_form()
    if not found.entries:
        raise DatasetError(f"{str(root)!r} has no usable sample. `ocrfleet data check` says why.")
    return found


def _stem(entry: Entry) -> str:
    return os.path.splitext(entry.image)[0]


def _label(entry: Entry) -> str:
    return entry.text if entry.text is not None else labels.spell(entry.regions, masked=False)


def _begin(out: Path, source: Path) -> Path:
    if out.resolve().is_relative_to(source):
        raise SpecError(f"{str(out)!r} is inside the dataset {str(source)!r}. Choose a folder outside it.")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise SpecError(f"{str(out)!r} already exists and is not empty. Choose another folder, or remove it.")
    partial = out.with_name(f"{out.name}.partial")
    if partial.exists():
        shutil.rmtree(partial)
    partial.mkdir(parents=True)
    return partial


def _finish(partial: Path, out: Path, files: Mapping[str, Iterable[str]], problems: tuple[Problem, ...]) -> Written:
    counts: dict[str, int] = {}
    for name, lines in files.items():
        text = "".join(lines)
        (partial / name).write_text(text, "utf-8", newline="\n")
        counts[name] = text.count("\n")
    # Thousands of images, which can be written again.
    atomic.replace(partial, out, durable=False)
    return Written(root=out, label_files=counts, problems=problems)
