"""`ocrfleet data check`, `split` and `crop`."""

import argparse
from pathlib import Path
from typing import Any, Literal

from jobs.commands import options, show
from jobs.commands.document import document
from jobs.commands.progress import count, transfer
from jobs.models import locations
from jobs.models.cache import Cache
from trainer.contract import MAX_PIXELS, ExitCode
from trainer.datasets import hashing, labels, tools
from trainer.datasets.splits import Plan
from trainer.datasets.tools import Findings, Written
from trainer.errors import DatasetError
from trainer.run.spec import MaxRefused


def add(parser: argparse.ArgumentParser) -> None:
    """Add its commands."""
    summaries = {
        "check": "read every label line and image, and list what a run would refuse",
        "split": "divide a dataset by image, as a run does",
        "crop": "crop the lines of pages, for a recogniser",
    }
    checking, splitting, cropping = options.group(
        parser, "Check a dataset, or make another one from it. A run does all of this by itself.", summaries
    )
    _add_check(checking)
    _add_split(splitting)
    _add_crop(cropping)


def _add_check(parser: argparse.ArgumentParser) -> None:
    options.command(
        parser,
        run=check,
        text="Read every label line and every image of a dataset, as a run would, and list what a run would refuse, "
        "with file and line. The exit code is 41 if a run would end with 41.",
        examples="ocrfleet data check s3://ocr-data/slips/\nocrfleet data check exported/ --task rec -o json\n"
        "ocrfleet data check exported/ --ratio 8:1:1 --max-refused 0.05:0.01",
    )
    _dataset(parser)
    parser.add_argument(
        "--dictionary", type=Path, metavar="FILE", help="a file of characters that must cover the labels (rec)"
    )
    parser.add_argument(
        "--part",
        choices=("train", "eval"),
        help="use the whole dataset for this, when another dataset serves for the rest",
    )
    _division(parser)
    parser.add_argument(
        "--max-refused",
        default="0.01:0",
        type=_limits,
        metavar="TRAIN:EVAL",
        help="shares of the samples that may be refused, as run.data.maxRefused (default: 0.01:0)",
    )
    parser.add_argument(
        "--max-pixels",
        type=int,
        metavar="N",
        help=f"width × height that an image may have, as run.data.maxPixels (default: {MAX_PIXELS})",
    )
    options.output(parser, "yaml", "json")


def _add_split(parser: argparse.ArgumentParser) -> None:
    options.command(
        parser,
        run=split,
        text="Copy a dataset into a new folder with a label file for each split: train.txt, val.txt and test.txt. An "
        "image stays in its split when others are added.",
        examples="ocrfleet data split exported/ --ratio 8:1:1 --out divided/",
    )
    _dataset(parser)
    _division(parser)
    _written(parser)


def _add_crop(parser: argparse.ArgumentParser) -> None:
    options.command(
        parser,
        run=crop,
        text="Crop every labelled line from its page into a new folder, with crop_img/ and rec_gt.txt as in "
        "PPOCRLabel.",
        examples="ocrfleet data crop s3://ocr-data/slips/ --out lines/",
    )
    _dataset(parser, task=False)
    _written(parser)


def _dataset(parser: argparse.ArgumentParser, *, task: bool = True) -> None:
    parser.add_argument("dataset", metavar="DATASET", help="a folder, or an s3:// or file:// location")
    if task:
        parser.add_argument(
            "--task", choices=("det", "rec"), help="the task to check it for (default: from its labels)"
        )
    options.cache(parser)


def _division(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--ratio", default="6:2:2", type=_ratio, metavar="A:B:C", help="train:eval:test (default: 6:2:2)"
    )
    parser.add_argument("--seed", default=42, type=int, metavar="N", help="as run.train.seed (default: 42)")


def _written(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="a new folder for the result")
    options.output(parser, "yaml", "json")


def _ratio(text: str) -> str:
    parts = text.split(":")
    if len(parts) != 3 or not all(part.isdecimal() for part in parts) or not any(map(int, parts)):
        raise argparse.ArgumentTypeError(f"{text!r} is not three whole numbers such as 6:2:2")
    return text


def _limits(text: str) -> tuple[float, float]:
    try:
        train, evaluation = (float(part) for part in text.split(":"))
    except ValueError:
        train = evaluation = -1.0
    if not (0 <= train <= 1 and 0 <= evaluation <= 1):
        raise argparse.ArgumentTypeError(f"{text!r} is not two shares from 0 to 1 such as 0.01:0")
    return train, evaluation


def check(arguments: argparse.Namespace) -> int:
    """List what a run would refuse."""
    root = _fetch(arguments.dataset, arguments.cache)
    task = arguments.task or _task(root)
    train, evaluation = arguments.max_refused
    plan = Plan(
        shares=hashing.shares_of(arguments.ratio),
        seed=arguments.seed,
        limits=MaxRefused(train=train, eval=evaluation),
    )
    found = tools.check(
        root,
        task,
        characters=arguments.dictionary,
        plan=plan,
        part=arguments.part,
        max_pixels=arguments.max_pixels,
        progress=count("read", "images"),
    )
    if arguments.output:
        document(_facts(found), arguments.output)
    else:
        _print_findings(found)
    return int(ExitCode.DATASET if found.fatal else ExitCode.DONE)


def split(arguments: argparse.Namespace) -> int:
    """Divide a dataset."""
    root = _fetch(arguments.dataset, arguments.cache)
    task = arguments.task or _task(root)
    written = tools.divide(root, arguments.out, task=task, shares=arguments.ratio, seed=arguments.seed)
    return _print_written(written, arguments.output)


def crop(arguments: argparse.Namespace) -> int:
    """Cut lines out of pages."""
    root = _fetch(arguments.dataset, arguments.cache)
    written = tools.crop(root, arguments.out, progress=count("crop", "pages"))
    return _print_written(written, arguments.output)


def _fetch(dataset: str, cache: Path | None) -> Path:
    return locations.folder(dataset, Cache.choose(cache), progress=transfer("fetch"))


def _task(root: Path) -> Literal["det", "rec"]:
    """Return the task that the labels are of."""
    try:
        labels.read(root, "det")
    except DatasetError:
        return "rec"
    return "det"


def _facts(found: Findings) -> dict[str, Any]:
    return {
        "task": found.task,
        "form": found.form,
        "images": found.images,
        "turned": found.turned,
        "laidOnWhite": found.laid_on_white,
        "samples": found.samples,
        "splits": dict(found.splits),
        "ignored": found.ignored,
        "characters": "".join(found.characters),
        "maxTextLength": found.max_text_length,
        "digest": found.digest,
        "problems": [{"source": p.source, "reason": f"{p.reason}{p.detail}", "about": p.about} for p in found.problems],
        "fatal": found.fatal,
    }


def _print_findings(found: Findings) -> None:
    unit = {"det": "pages", "rec": "lines"}[found.task]
    print(f"{found.root}: {found.form}, checked for {found.task}.")
    print(f"Images: {found.images}. Usable {unit}: {found.samples}. Ignored: {found.ignored}.")
    if found.turned:
        print(f"Turned as their EXIF orientation says: {found.turned} images.")
    if found.laid_on_white:
        print(f"Partly transparent and laid on white: {found.laid_on_white} images.")
    print("Splits: " + ", ".join(f"{name} {count}" for name, count in found.splits.items()) + ".")
    if found.characters:
        print(f"Characters: {len(found.characters)}. Longest label: {found.max_text_length} characters.")
        print("".join(found.characters))
    print(f"Digest: {found.digest}")
    for problem in found.problems:
        print(f"refused  {problem.sentence}")
    if found.fatal:
        print(f"A run would end: {found.fatal}")
    else:
        print(
            f"A run would use it, without the {len(found.problems)} refused samples."
            if found.problems
            else "No problems found."
        )


def _print_written(written: Written, output: str | None) -> int:
    for problem in written.problems:
        show.say(f"skipped  {problem.sentence}")
    if output:
        document({"root": str(written.root), "labelFiles": dict(written.label_files)}, output)
        return 0
    for name, lines in written.label_files.items():
        print(f"{written.root / name}: {lines} lines")
    return 0
