"""The labels of a dataset, whatever form they come in. The standard library only, since the submitter reads too.

Read here: a PPOCRLabel export (`Label.txt`), and PaddleOCR's det and rec label files. What stands on a line is
`trainer/datasets/labellines.py`'s business, which files of a folder are label files and where their images lie
`trainer/datasets/labelfiles.py`'s; whether an image can be read is `trainer/datasets/images.py`'s.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

from trainer.datasets import labelfiles
from trainer.datasets.labelfiles import LineError, Problem
from trainer.datasets.labellines import IGNORED_TEXTS, UNREAD_TEXTS, Region, flaw_of, parse, spell
from trainer.errors import DatasetError

__all__ = [
    "IGNORED_TEXTS",
    "UNREAD_TEXTS",
    "Entry",
    "LabelSet",
    "LineError",
    "Problem",
    "Region",
    "flaw_of",
    "parse",
    "read",
    "spell",
]

_CROP: Final = re.compile(r"^(?P<page>.*)_crop_\d+(\.[^./]+)?$")
"""PPOCRLabel's names of crops: `crop_img/000_crop_12.jpg` comes from page 000."""


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One labelled image."""

    image: str
    """Path relative to the dataset's folder."""

    source: str
    """The label's place, such as `Label.txt:12`."""

    group: str
    """The page that it comes from; what has one page stays in one split."""

    split: str | None
    """`train`, `eval` or `test`, when the label files come divided; else None."""

    text: str | None = None
    """rec: what stands on the line."""

    regions: tuple[Region, ...] = ()
    """det: what stands on the page."""

    def refused(
        self, task: Literal["det", "rec"], reason: str, *, about: Literal["image", "label"], detail: str = ""
    ) -> list[Problem]:
        """Refuse the image: a problem for each sample that it would have given."""
        lines = [n for n, region in enumerate(self.regions, start=1) if region.readable] if task == "rec" else []
        sources = [f"{self.source}#{number}" for number in lines] or [self.source]
        return [
            Problem(source=source, reason=reason, about=about, detail=detail, group=self.group, split=self.split)
            for source in sources
        ]


@dataclass(frozen=True, kw_only=True)
class LabelSet:
    """All labels of a dataset."""

    root: Path
    """The dataset's folder."""

    kind: Literal["det", "rec"]
    """Whether the labels mark regions on pages, or give the text of a line's image."""

    form: str
    """What the folder is, in words."""

    entries: tuple[Entry, ...]
    """In the order of the label files, by name, and their lines."""

    problems: tuple[Problem, ...]
    """Lines that are no entries, and why."""

    missing: int
    """Images that label files name but that do not exist."""

    ignored: int
    """Lines of rec files that are marked as unreadable. (Regions of pages carry their own mark.)"""

    splits: frozenset[str] = frozenset()
    """Splits that the label files name, those with nothing but ignored lines included; none where they name none."""

    @property
    def divided(self) -> bool:
        """Whether the label files name their splits."""
        return bool(self.splits)

    def require_form(self) -> None:
        """Refuse a dataset whose label files are broken.

        Raises:
            DatasetError: names the first broken line.
        """
        broken = [problem for problem in self.problems if problem.about == "file"]
        if broken:
            more = f" ({len(broken) - 1} more such lines: `ocrfleet data check` lists them)" if broken[1:] else ""
            raise DatasetError(f"{broken[0].sentence}{more}.")


def read(root: Path, task: Literal["det", "rec"], *, called: str = "") -> LabelSet:
    """Read all labels of a dataset that serve a task.

    A rec run crops its lines out of pages when the folder is a PPOCRLabel export, even when `rec_gt.txt` lies
    beside `Label.txt`: then a split goes by page, so no page is both learnt and tested; the crops are made as
    readers of the published model make them; and a correction in PPOCRLabel needs no second export. Everywhere
    else rec label files come first, since somebody has prepared them for just that.

    Args:
        root: the dataset's folder.
        task: what the labels are for.
        called: put before the names of label files in messages, to tell two datasets apart.

    Raises:
        DatasetError: there is no label file for the task. Broken lines are among the `problems`.
    """
    tree = labelfiles.scan(root)
    files = labelfiles.find(tree, task)
    found = _Found()
    for file in files:
        _read_file(tree, file, called, task, found)
    entries, repeated = _once(found.entries, task)
    form = labelfiles.describe(files)
    return LabelSet(
        root=root.absolute(),
        kind=files[0].kind,
        form=form,
        entries=tuple(entries),
        problems=(*found.problems, *repeated),
        missing=found.missing,
        ignored=found.ignored,
        splits=frozenset(file.split for file in files if file.split),
    )


@dataclass
class _Found:
    entries: list[Entry] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    missing: int = 0
    ignored: int = 0


@dataclass(frozen=True)
class _Line:
    source: str
    images: tuple[str, ...]
    text: str | None
    regions: tuple[Region, ...]


def _read_file(
    tree: labelfiles.Tree, file: labelfiles.LabelFile, called: str, task: Literal["det", "rec"], found: _Found
) -> None:
    lines: list[_Line] = []
    for number, raw in enumerate((tree.root / file.path).read_bytes().split(b"\n"), start=1):
        source = f"{called}{file.path}:{number}"
        try:
            parsed = parse(raw.removeprefix(b"\xef\xbb\xbf") if number == 1 else raw, file.kind)
        except LineError as error:
            found.problems.append(error.at(source))
            continue
        if parsed is None:
            continue
        images, text, regions = parsed
        if text in IGNORED_TEXTS:
            found.ignored += 1
        else:
            lines.append(_Line(source, images, text, regions))
    place = labelfiles.Places.choose(tree, file, [image for line in lines for image in line.images])
    for line in lines:
        _take(line, file.split, place, task, found)


def _take(line: _Line, split: str | None, place: labelfiles.Places, task: Literal["det", "rec"], found: _Found) -> None:
    """Sort the images of a line into entries and problems."""
    group = ""
    flaw = flaw_of(line.text) if line.text is not None else None
    for name in line.images:
        try:
            image, there = place.find(name)
        except LineError as error:
            found.problems.append(error.at(line.source))
            continue
        crop = _CROP.match(image)
        # Several images on one line are variants of one: they stay together.
        group = group or (crop["page"] if crop and line.text is not None else image)
        entry = Entry(image=image, source=line.source, group=group, split=split, text=line.text, regions=line.regions)
        if not there:
            found.missing += 1
            found.problems += entry.refused(
                task, "the image is missing", about="image", detail=f": {name!r}{place.hint(image)}"
            )
        elif flaw:
            found.problems += entry.refused(task, flaw, about="label")
        else:
            found.entries.append(entry)


def _once(entries: Iterable[Entry], task: Literal["det", "rec"]) -> tuple[list[Entry], list[Problem]]:
    first: dict[str, Entry] = {}
    repeated: list[Problem] = []
    for entry in entries:
        other = first.setdefault(entry.image, entry)
        if other is not entry:
            repeated += entry.refused(
                task,
                "the image is labelled twice",
                about="label",
                detail=f" ({entry.image!r}: {other.source})",
            )
    return list(first.values()), repeated
