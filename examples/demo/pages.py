"""Generate small labelled pages, as PPOCRLabel would have exported them.

    python -m examples.demo.pages OUT --pages 100 --seed 1

OUT gets `page-000.jpg` …, `Label.txt` and `fileState.txt`; paths in them begin with OUT's own name, as
PPOCRLabel writes them. The pages look like slips: a few words from a short list, and numbers of 3 to 5 digits,
so that small networks learn them in minutes. The same arguments give the same pages; another seed gives others.
"""

import argparse
import itertools
import json
import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from examples.demo.faces import Box, Face
from examples.demo.looks import PLAIN, Look

SIDE = 320
"""Width and height of a page in pixels: the crop that the demo's detector trains on, so nothing is cut."""

WORDS = PLAIN.words
"""Few, over a small alphabet, and at most 128 pixels wide when 32 high: a few hundred samples teach them."""

MARGIN = 7
"""Pixels between the ink and the box above and below: roomy, so that a recogniser can be trained on less of it, too."""

SIDES = (1, 8)
"""Least and most pixels between the ink and the box on its left and right. A hand that labels leaves more here and less
there, and a recogniser that has never seen that misreads the ends of the boxes that a detector finds."""


@dataclass(frozen=True, kw_only=True)
class Line:
    """One text on a page, with the box round its ink."""

    text: str
    box: Box


def main() -> None:
    """Read the command line and write the pages."""
    parser = argparse.ArgumentParser(prog="python -m examples.demo.pages", description="Generate labelled pages.")
    parser.add_argument("out", type=Path, help="folder to write to; made when it is not there")
    parser.add_argument("--pages", type=int, default=100, help="how many (default: 100)")
    parser.add_argument("--seed", type=int, default=1, help="another seed gives other pages (default: 1)")
    arguments = parser.parse_args()
    write_export(arguments.out, pages=arguments.pages, seed=arguments.seed)
    print(f"{arguments.pages} pages in {arguments.out}")


def write_export(out: Path, *, pages: int, seed: int, look: Look = PLAIN) -> None:
    """Write pages and labels as one PPOCRLabel export.

    Args:
        out: the folder; files of the same names in it are replaced.
        pages: how many.
        seed: chooses texts, sizes, places and noise.
        look: what they are chosen from.
    """
    out.mkdir(parents=True, exist_ok=True)
    labels, states = [], []
    for number in range(pages):
        image, lines = draw_page(page_rng(seed, number), look)
        name = f"page-{number:03d}.jpg"
        image.save(out / name, quality=90)
        labels.append(f"{out.name}/{name}\t{json.dumps([_entry(line) for line in lines])}\n")
        states.append(f"{out.name}/{name}\t1\n")
    (out / "Label.txt").write_text("".join(labels), "utf-8")
    (out / "fileState.txt").write_text("".join(states), "utf-8")


def read_truth(export: Path) -> dict[str, list[str]]:
    """Give the texts of each page of an export, from top to bottom and left to right, by file name."""
    truth = {}
    for row in (export / "Label.txt").read_text("utf-8").splitlines():
        path, entries = row.split("\t")
        truth[path.rpartition("/")[2]] = [entry["transcription"] for entry in json.loads(entries)]
    return truth


def page_rng(seed: int, number: int) -> random.Random:
    """Return where the choices of a page come from: its own, so that more pages leave the first ones as they are."""
    return random.Random(f"{seed}/{number}")


def draw_page(rng: random.Random, look: Look = PLAIN) -> tuple[Image.Image, list[Line]]:
    """Draw one page.

    Args:
        rng: where all choices come from.
        look: what they are chosen from.

    Returns:
        The picture and its lines, from top to bottom and left to right.
    """
    image, lines = draw_lines(rng, look)
    return _with_noise(image, rng, look), lines


def draw_lines(rng: random.Random, look: Look = PLAIN) -> tuple[Image.Image, list[Line]]:
    """Draw a page without noise and blur, otherwise as draw_page does."""
    image = _paper(rng, look)
    draw = ImageDraw.Draw(image)
    ink = tuple(rng.randint(10, 80) for _ in range(3))
    lines = []
    for face, top in _rows(rng, look):
        left, right = rng.choice(((True, True), (True, True), (True, False), (False, True)))
        if left:
            text = _text(rng, look)
            lines.append(_write(draw, text, face=face, ink=ink, at=(rng.randint(10, 24), top), rng=rng))
        if right:
            text = _text(rng, look) if look.anywhere else _number(rng, look)
            x = SIDE - rng.randint(10, 24) - face.width(text)
            lines.append(_write(draw, text, face=face, ink=ink, at=(x, top), rng=rng))
    return image, lines


def _rows(rng: random.Random, look: Look) -> Iterator[tuple[Face, int]]:
    """Return the face and the top of each row until the page is full."""
    top = first = rng.randint(8, 24)
    for row in itertools.count():
        size = rng.randint(*look.sizes)
        if top + size + 10 > SIDE:
            return
        # In turn, from a random one on: each face has as many rows as any other.
        yield look.faces[(first + row) % len(look.faces)](size), top
        top += round(size * rng.uniform(1.6, 2.0))


def _text(rng: random.Random, look: Look) -> str:
    return rng.choice((rng.choice(look.words), _number(rng, look)))


def _number(rng: random.Random, look: Look) -> str:
    return "".join(rng.choice("0123456789") for _ in range(rng.choice(look.digits)))


def _write(
    draw: ImageDraw.ImageDraw,
    text: str,
    *,
    face: Face,
    ink: tuple[int, ...],
    at: tuple[int, int],
    rng: random.Random,
) -> Line:
    x1, y1, x2, y2 = face.draw(draw, text, at=at, ink=ink)
    left, right = rng.randint(*SIDES), rng.randint(*SIDES)
    return Line(text=text, box=(x1 - left, y1 - MARGIN, x2 + right, y2 + MARGIN))


def _paper(rng: random.Random, look: Look) -> Image.Image:
    """Make light paper with a soft shade from one side to the other."""
    tone = np.array([rng.randint(*look.paper) for _ in range(3)], np.float32)
    across, down = rng.uniform(*look.shade), rng.uniform(*look.shade)
    ramp = np.linspace(-0.5, 0.5, SIDE, dtype=np.float32)
    shade = across * ramp[None, :, None] + down * ramp[:, None, None]
    return Image.fromarray(np.clip(tone + shade, 0, 255).astype(np.uint8))


def _with_noise(image: Image.Image, rng: random.Random, look: Look) -> Image.Image:
    noise = np.random.default_rng(rng.getrandbits(32)).normal(0, rng.uniform(*look.noise), (SIDE, SIDE, 3))
    image = image.filter(ImageFilter.GaussianBlur(rng.uniform(*look.blur)))
    return Image.fromarray(np.clip(np.asarray(image, np.float32) + noise, 0, 255).astype(np.uint8))


def _entry(line: Line) -> dict[str, object]:
    x1, y1, x2, y2 = line.box
    points = [[x1, y1], [x2, y1], [x2, y2], [x1, y2]]
    return {"transcription": line.text, "points": points, "difficult": False}


if __name__ == "__main__":
    main()
