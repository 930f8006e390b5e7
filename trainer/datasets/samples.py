"""Makes candidates, samples without a split, of one labelled image: a page, a line, or the lines of a page."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from trainer.datasets import images, labels
from trainer.datasets.labels import Entry, Problem


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A sample that may be used, before it has its split."""

    image: Path
    """The image file; the crop's, when lines are cut out of pages."""

    label: str
    """As `datasets.Sample` has it."""

    source: str
    """The label's place; `Label.txt:12#3` is the third region of that line."""

    width: int
    """Pixels, as decoded."""

    height: int
    """Pixels, as decoded."""

    group: str
    """The page that it comes from."""

    split: str | None
    """As the label files have it."""

    digest: str
    """Names the image's content."""

    learnable: bool = True
    """det: whether a region of the page is not ignored. A page without one is background alone."""


@dataclass(frozen=True, kw_only=True)
class Look:
    """What one image gives."""

    digest: str
    """sha256 of the image file."""

    candidates: Sequence[Candidate] = ()
    problems: Sequence[Problem] = ()
    ignored: int = 0

    turned: bool = False
    """Whether the image was turned, as its EXIF orientation says."""

    laid_on_white: bool = False
    """Whether the image was laid on white, since some of it is transparent."""


@dataclass(frozen=True)
class Crops:
    """Where lines are written that are cut out of pages."""

    folder: Path
    name: Callable[[Entry, int, str], str]
    """Names a crop's file after the entry, the region's number from 1, and the page's sha256."""


def by_content(entry: Entry, number: int, page: str) -> str:
    """Name a crop by what it is made of: what has its name is right, and need not be made again."""
    return images.crop_name(page, entry.regions[number - 1].points)


def page(entry: Entry, path: Path, image: "images.Image", digest: str) -> Look:
    """A page for det. One flawed region spoils it: text that is not marked would be learnt as background."""
    height, width = image.shape[:2]
    if not entry.regions:
        problems = entry.refused("det", "the page has no regions", about="label", detail=f": {entry.image!r}")
        return Look(digest=digest, problems=problems)
    for number, region in enumerate(entry.regions, start=1):
        flaw = _flaw(region, width, height)
        if flaw:
            problems = entry.refused("det", f"a region {flaw}", about="label", detail=f" (region {number})")
            return Look(digest=digest, problems=problems)
    page = Candidate(
        image=path,
        label=labels.spell(entry.regions, masked=True),
        source=entry.source,
        width=width,
        height=height,
        group=entry.group,
        split=entry.split,
        digest=digest,
        learnable=not all(region.ignored for region in entry.regions),
    )
    return Look(digest=digest, candidates=[page], ignored=sum(region.ignored for region in entry.regions))


def _flaw(region: labels.Region, width: int, height: int) -> str | None:
    """Return why a region of a page cannot be learnt; a masked region only has to be a polygon."""
    if region.flawed:
        return f"has {len(region.points)} points, but a polygon needs 3"
    if region.marked:
        return None
    if region.crossed:
        return "crosses itself"
    return "lies outside the image" if images.outside(region.points, width=width, height=height) else None


def line(entry: Entry, path: Path, image: "images.Image", digest: str) -> Look:
    """A line for rec, as a label file names it."""
    height, width = image.shape[:2]
    line = Candidate(
        image=path,
        label=entry.text or "",
        source=entry.source,
        width=width,
        height=height,
        group=entry.group,
        split=entry.split,
        digest=digest,
    )
    return Look(digest=digest, candidates=[line])


def lines(entry: Entry, path: Path, image: "images.Image", digest: str, *, crops: Crops | None) -> Look:
    """The lines of a page for rec: each is cut out and written, unless it is there already."""
    candidates: list[Candidate] = []
    problems: list[Problem] = []
    skipped = 0
    for number, region in enumerate(entry.regions, start=1):
        if not region.readable:
            skipped += 1
            continue
        try:
            cut = _cut(entry, number, path, image, digest, crops=crops)
        except images.ImageError as error:
            problems.append(
                Problem(
                    source=f"{entry.source}#{number}",
                    reason=str(error),
                    about="label",
                    detail=f": {region.text!r}",
                    group=entry.group,
                    split=entry.split,
                )
            )
        else:
            candidates.append(cut)
    return Look(digest=digest, candidates=candidates, problems=problems, ignored=skipped)


def _cut(
    entry: Entry, number: int, path: Path, image: "images.Image", digest: str, *, crops: Crops | None
) -> Candidate:
    region = entry.regions[number - 1]
    flaw = labels.flaw_of(region.text)
    if region.flawed:
        flaw = f"the region has {len(region.points)} points, but a polygon needs 3"
    # A crossed region is cut all the same: along the rectangle around its corners, whatever their order.
    if flaw:
        raise images.ImageError(flaw)
    height, width = image.shape[:2]
    across, down = images.crop_size(region.points, width=width, height=height)
    if crops:
        path = crops.folder / crops.name(entry, number, digest)
        images.save_once(path, lambda: images.crop(image, region.points))
    return Candidate(
        image=path,
        label=region.text,
        source=f"{entry.source}#{number}",
        width=across,
        height=down,
        group=entry.group,
        split=entry.split,
        digest=by_content(entry, number, digest),
    )
