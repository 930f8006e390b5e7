"""Reads images with exported models: `python -m trainer.ppocr.predict --det DIR --rec DIR --out DIR IMAGE…`.

For each image three files: `<name>.txt`, `<name>.json` and `<name>.png`. With a pair, the lines of a page
in reading order; with a detector alone, boxes; with a recogniser alone, each image is one line.
"""

import argparse
import contextlib
import json
import sys
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from trainer.contract import ExitCode
from trainer.datasets import documents, headers, image_workers, images
from trainer.errors import DatasetError, OcrfleetError, SpecError
from trainer.evaluation import drawing
from trainer.evaluation.drawing import Line
from trainer.formats.printable import printable
from trainer.ppocr import infer

_NAMED: Final = 5
"""How many of the files and folders that are left out a sentence names."""


@dataclass(frozen=True)
class Models:
    """A detector, a recogniser, or both."""

    det: infer.DetReader | None
    rec: infer.RecReader | None

    @classmethod
    def load(cls, det: Path | None, rec: Path | None, *, device: str) -> "Models":
        """Load exported models.

        Raises:
            SpecError: there is no model, a model is of the other kind, or ocrfleet cannot read it.
            NotFoundError: a folder lacks a file of the model.
        """
        if det is None and rec is None:
            raise SpecError("No model. Name a detector with --det, a recogniser with --rec, or both.")
        detector = recogniser = None
        if det is not None:
            config = _config(det, "--det", "DBPostProcess")
            detector = infer.DetReader(config, infer.predictor_forward(det, device))
        if rec is not None:
            config = _config(rec, "--rec", "CTCLabelDecode")
            characters = config["Global"]["character_dict"]
            recogniser = infer.RecReader(config, characters, infer.predictor_forward(rec, device))
        return cls(detector, recogniser)

    def read(self, image: infer.Image) -> list[Line]:
        """Read a page, or, without a detector, a single line."""
        height, width = image.shape[:2]
        if self.det is None:
            whole = ((0.0, 0.0), (float(width), 0.0), (float(width), float(height)), (0.0, float(height)))
            lines, crops = [Line(box=whole)], [image]
        else:
            lines, crops = _find(self.det, image)
        if self.rec is None:
            return lines
        return [
            replace(line, text=text, confidence=confidence)
            for line, (text, confidence) in zip(lines, self.rec.read(crops), strict=True)
        ]


def _find(det: infer.DetReader, image: infer.Image) -> tuple[list[Line], list[infer.Image]]:
    """Find the lines of a page, in reading order, and cut them out."""
    boxes, scores = det.read(image)
    lines, crops = [], []
    for place in (place for row in rows_of(boxes) for place in row):
        # What has no pixels to read is no line.
        with contextlib.suppress(images.ImageError):
            crops.append(images.crop(image, boxes[place]))
            lines.append(Line(box=_corners(boxes[place]), score=scores[place]))
    return lines, crops


def rows_of(boxes: npt.NDArray[Any]) -> list[list[int]]:
    """Put boxes in reading order: rows from top to bottom, each from left to right.

    Two boxes are of one row when the middle of one is within half the height of the other.
    """
    if not len(boxes):
        return []
    middles = boxes.mean(axis=1)
    heights = np.linalg.norm(boxes[:, 3] - boxes[:, 0], axis=1)
    rows: list[list[int]] = []
    for place in np.argsort(middles[:, 1], kind="stable").tolist():
        last = rows[-1][-1] if rows else None
        if last is not None and abs(middles[place, 1] - middles[last, 1]) < min(heights[place], heights[last]) / 2:
            rows[-1].append(place)
        else:
            rows.append([place])
    return [sorted(row, key=lambda place: float(middles[place, 0])) for row in rows]


def text_of(lines: Sequence[Line]) -> str:
    """Return the content of `<name>.txt`: one line per row of the page; without a recogniser, the boxes' corners."""
    if any(line.text is not None for line in lines):
        rows = rows_of(np.array([line.box for line in lines]))
        return "".join(" ".join(lines[place].text or "" for place in row) + "\n" for row in rows)
    return "".join(",".join(f"{value:g}" for point in line.box for value in point) + "\n" for line in lines)


def find_images(given: Sequence[Path]) -> tuple[list[Path], dict[Path, str]]:
    """List the files to read: as named, and of each folder, in the order of names, those that are images or PDFs.

    The content of a file decides, whatever its name ends with. Hidden files and folders in a folder are passed over.

    Returns:
        The files to read, and why each other file or folder in the folders is not read.

    Raises:
        DatasetError: a folder has no image.
    """
    found: list[Path] = []
    others: dict[Path, str] = {}
    for path in given:
        if not path.is_dir():
            found.append(path)
            continue
        inside = sorted(entry for entry in path.iterdir() if not entry.name.startswith("."))
        reasons = {file: _why_not(file) for file in inside}
        images_of_it = [file for file, why in reasons.items() if why is None]
        others |= {file: why for file, why in reasons.items() if why is not None}
        if not images_of_it:
            raise DatasetError(f"'{path}' has no image. Images are files in the formats {headers.FORMATS}, and PDFs.")
        found.extend(images_of_it)
    return found, others


def _why_not(path: Path) -> str | None:
    """Return why an entry of a folder is not read, or None if it is an image or a PDF."""
    try:
        if path.is_dir():
            return "it is a folder; name it to read it, too"
        if not path.is_file():
            return "it is not a regular file"
        with path.open("rb") as file:
            begin = file.read(1 << 8)
    except OSError as error:
        return error.strerror or "it cannot be read"
    return None if begin.startswith(documents.PDF) else headers.other(begin)


def left_out(others: Mapping[Path, str]) -> str:
    """Return a sentence about what is not read of folders; empty if that is nothing."""
    if not others:
        return ""
    named = [f"{path} ({why})" for path, why in others.items()][:_NAMED]
    if len(others) > _NAMED:
        named.append(f"and {len(others) - _NAMED} more")
    return f"{len(others)} left out: {', '.join(named)}."


def names_for(paths: Sequence[Path]) -> list[str]:
    """Name each image's results: by its stem, by its whole name where stems meet, numbered where names meet."""
    stems = Counter(path.stem for path in paths)
    names = [path.stem if stems[path.stem] == 1 else path.name for path in paths]
    seen: Counter[str] = Counter()
    for place, name in enumerate(names):
        seen[name] += 1
        if seen[name] > 1:
            names[place] = f"{name}-{seen[name]}"
    return names


def predict(
    models: Models,
    paths: Sequence[Path],
    out: Path,
    *,
    font: Path | None = None,
    tell: Callable[[str], None] = lambda said: None,
) -> dict[str, Any]:
    """Read images and write their results.

    Args:
        models: what to read with.
        paths: image files.
        out: the folder for the results; made when it is not there.
        font: for the pictures.
        tell: told of each image when it is done, or why it could not be read.

    Returns:
        The summary: `images` (name, page and pages of those that have several, lines, confidence, files), `unreadable`
        (image, reason), `seconds`.

    Raises:
        SpecError: the results would go where images are read from, and one could replace an image.
    """
    if any(out.resolve() in (path.parent.resolve(), path.resolve().parent) for path in paths):
        raise SpecError(
            f"'{out}' has images that are read, and a result could replace one. Name another folder with --out."
        )
    began = time.perf_counter()
    out.mkdir(parents=True, exist_ok=True)
    done: list[dict[str, Any]] = []
    unreadable: list[dict[str, str]] = []
    names = names_for(paths)
    for opened in _opened(paths):
        place = f"[{opened.place + 1}/{len(paths)}]"
        path, name = paths[opened.place], names[opened.place]
        if isinstance(opened.image, DatasetError):
            unreadable.append({"image": str(path), "reason": str(opened.image)})
            tell(f"{place} {opened.image}")
            continue
        which: dict[str, int] = {}
        words = ""
        if opened.pages > 1:
            which = {"page": opened.number, "pages": opened.pages}
            words = f", page {opened.number}/{opened.pages}"
            name = f"{name}.page-{opened.number:0{len(str(opened.pages))}d}"
        lines = models.read(opened.image)
        files = _write(out, name, opened.image, lines, page=models.det is not None, font=font)
        sure = [line.confidence if line.text is not None else line.score for line in lines]
        mean = float(np.mean([value or 0.0 for value in sure])) if sure else None
        said = {"lines": len(lines), "confidence": mean, "text": text_of(lines), "files": files}
        done.append({"image": str(path), **which, **said})
        tell(f"{place} {path.name}{words}: {_count(len(lines), 'line')}")
    lacking = drawing.lacking("".join(item["text"] for item in done), font)
    if lacking:
        tell(
            f"The font of the pictures lacks {lacking[:20]!r}. Name a font that has them with --font. The text files "
            "are complete."
        )
    return {"images": done, "unreadable": unreadable, "seconds": time.perf_counter() - began}


@dataclass(frozen=True)
class _Opened:
    """A page, or why it cannot be read."""

    place: int
    """Of its file in the list."""

    image: infer.Image | DatasetError

    number: int = 1
    pages: int = 1


def _opened(paths: Sequence[Path]) -> Iterator[_Opened]:
    """Decode pages in another process: one that crashes its decoder must not end this one."""
    with image_workers.decoder(documents=True) as decode:
        for place, path in enumerate(paths):
            number = pages = 1
            while number <= pages:
                try:
                    page = decode(path, number)
                except images.ImageError as error:
                    # Of a file that kills the process at its first page, the others are not known.
                    if isinstance(error, image_workers.PageError):
                        pages = max(pages, error.pages)
                    what = infer.unusable(path, error)
                    yield _Opened(place, DatasetError(f"Page {number} of {what}") if pages > 1 else what)
                else:
                    pages = page.pages
                    yield _Opened(place, page.pixels, number=number, pages=pages)
                number += 1


def _write(
    out: Path, name: str, image: infer.Image, lines: Sequence[Line], *, page: bool, font: Path | None
) -> dict[str, str]:
    picture = drawing.page(image, lines, font=font) if page else drawing.line(image, lines[0], font=font)
    height, width = image.shape[:2]
    facts = {"width": width, "height": height, "lines": [asdict(line) for line in lines]}
    files = {kind: out / f"{name}.{kind}" for kind in ("txt", "json", "png")}
    files["txt"].write_text(text_of(lines), "utf-8")
    files["json"].write_text(json.dumps(facts, ensure_ascii=False, indent=1), "utf-8")
    picture.save(files["png"])
    return {kind: str(file) for kind, file in files.items()}


def _config(folder: Path, option: str, wanted: str) -> dict[str, Any]:
    config = infer.exported_config(folder)
    found = config["PostProcess"].get("name")
    if found != wanted:
        kind = "detector" if option == "--det" else "recogniser"
        raise SpecError(f"{option} '{folder}' is not a {kind}: it is decoded by {found!r}, not by {wanted}.")
    return config


def _corners(box: npt.NDArray[Any]) -> tuple[tuple[float, float], ...]:
    return tuple((float(x), float(y)) for x, y in box)


def summary(facts: dict[str, Any]) -> str:
    """Return the summary in words: a line per image, then the totals."""
    lines = []
    for item in facts["images"]:
        sure = "" if item["confidence"] is None else f", confidence {item['confidence']:.3f}"
        lines.append(f"{item['files']['png']}: {_count(item['lines'], 'line')}{sure}")
    total = sum(item["lines"] for item in facts["images"])
    lines.append(f"{_count(len(facts['images']), 'page')}, {_count(total, 'line')}, {facts['seconds']:.1f} s")
    if facts["unreadable"]:
        lines.append(f"{len(facts['unreadable'])} could not be read: {facts['unreadable'][0]['reason']}")
    if facts.get("left_out"):
        lines.append(f"{len(facts['left_out'])} left out")
    return "\n".join(lines)


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="trainer.ppocr.predict", description="Read images with exported models.")
    parser.add_argument("images", nargs="+", type=Path, metavar="IMAGE", help="an image, a PDF, or a folder of these")
    parser.add_argument("--det", type=Path, metavar="DIR", help="inference folder of a detector")
    parser.add_argument("--rec", type=Path, metavar="DIR", help="inference folder of a recogniser")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="where the results go")
    parser.add_argument("--font", type=Path, metavar="FILE", help="a font for scripts that the built-in one lacks")
    parser.add_argument("--device", choices=("cpu", "gpu"), default="cpu")
    parser.add_argument("-o", "--output", choices=("text", "json"), default="text", help="form of the summary")
    arguments = parser.parse_args()
    if arguments.det is None and arguments.rec is None:
        parser.error("name a detector with --det, a recogniser with --rec, or both")
    return arguments


def main() -> int:
    """Read images, print the summary and return the exit code: 41 if no image could be read."""
    arguments = _arguments()
    # Paddle warns at its import of a cache for C++ extensions, which nobody builds here.
    warnings.filterwarnings("ignore", message="No ccache found")

    def tell(said: str) -> None:
        sys.stderr.write(f"{printable(said)}\n")
        sys.stderr.flush()

    try:
        paths, others = find_images(arguments.images)
        if others:
            tell(left_out(others))
        models = Models.load(arguments.det, arguments.rec, device=arguments.device)
        facts = predict(models, paths, arguments.out, font=arguments.font, tell=tell)
    except OcrfleetError as error:
        tell(str(error))
        return int(error.exit_code)
    facts["left_out"] = [{"image": str(path), "reason": why} for path, why in others.items()]
    said = json.dumps(facts, ensure_ascii=False, indent=1) if arguments.output == "json" else summary(facts)
    # What is read from an image is foreign text; a file or a program gets it as it is.
    sys.stdout.write(f"{printable(said) if sys.stdout.isatty() else said}\n")
    return int(ExitCode.DONE if facts["images"] else ExitCode.DATASET)


if __name__ == "__main__":
    sys.exit(main())
