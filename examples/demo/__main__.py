"""`make demo`: from generated pages to pages read with two published models, on this machine.

The models train on 420 pages. Both must reach 0.95 (hmean, acc) on the test split of these pages. Then they read 12 new
pages, which differ from the 420 in all that a network could learn by heart (`examples/demo/looks.py`):

- faces: Aileron and Hershey Triplex, where the 420 have DejaVu Sans and the other faces of Hershey. They are other
  faces, not stranger ones: the 420 have both thin and bold faces, with serifs and without
- words: others, of the same ten letters
- numbers: of 4 digits, where the 420 have 3 or 5
- paper shaded more strongly, print sharper and noise stronger than on any of the 420

Nine of ten texts on them must be read right. The exit code is 0 if every step worked and all three gates are passed.
"""

import argparse
import json
import sys
from functools import partial
from pathlib import Path

from examples.demo import looks, pages
from examples.demo.looks import Look
from examples.road import StepError, Trained, Walk, cpu_seconds, say, walk

JOBS = Path(__file__).parent
FOLDER = Path("build/demo")
PAGES = 420
"""Pages to train, evaluate and test on."""
NEW_PAGES = 12
"""Pages to read at the end."""
ENOUGH = 0.90
"""Share of the texts of new pages that must be right."""


def main() -> int:
    """Walk the road, then name what to look at; return the exit code.

    Everything that is made stays in the folder until the next time.
    """
    parser = argparse.ArgumentParser(prog="python -m examples.demo", description="Train two models, read new pages.")
    parser.add_argument("--seed", type=int, default=1, help="another seed draws other pages (default: 1)")
    seed, pictures = parser.parse_args().seed, dict[str, Path]()
    code = walk(partial(steps, seed=seed, pictures=pictures), folder=FOLDER, steps=4)
    say(f"\n{cpu_seconds():.0f} CPU-seconds were used, by all processes together.")
    if pictures:
        say("Open these two pictures first:")
    for what, path in pictures.items():
        say(f"  {path.relative_to(Path.cwd())}  ({what})")
    return code


def steps(road: Walk, *, seed: int, pictures: dict[str, Path]) -> None:
    """Draw pages, train twice, read new pages.

    Args:
        road: where to walk.
        seed: chooses the pages.
        pictures: filled with what a newcomer should look at.
    """
    road.announce(f"Draw {PAGES} labelled pages and put them into a bucket")
    labelled = road.folder / "pages"
    pages.write_export(labelled, pages=PAGES, seed=seed, look=looks.TRAINING)
    road.upload(labelled, "s3://ocr-data/demo/pages/")

    road.announce("Train a detector: two processes, a minute or two")
    detector = road.train(JOBS / "det.yaml")

    road.announce("Train a recogniser on the lines of the same pages: two processes, a minute or two")
    recogniser = road.train(JOBS / "rec.yaml")

    road.announce("Read new pages with the two published models")
    say(difference(looks.NEW, looks.TRAINING))
    new = road.folder / "new"
    pages.write_export(new, pages=NEW_PAGES, seed=-seed, look=looks.NEW)
    read = road.read(new, detector=detector, recogniser=recogniser)
    pictures["a new page with what was read on it"] = read / "page-000.png"
    pictures["how the recogniser learned"] = recogniser.work.report / "curve.svg"
    judge(road, new=new, read=read, detector=detector, recogniser=recogniser)


def difference(new: Look, old: Look) -> str:
    """Describe how pages of two looks differ."""
    return f"""They are unlike all that the models have learned from:
  faces    {new.typefaces} instead of {old.typefaces}
  words    {", ".join(new.words[:3])} …, of which none is in the training set
  numbers  of {new.lengths} digits instead of {old.lengths}
  paper    shaded by {_range(new.shade)} levels from side to side instead of {_range(old.shade)}
  noise    {_range(new.noise)} levels instead of {_range(old.noise)}
  blur     radius {_range(new.blur)} pixels instead of {_range(old.blur)}"""


def _range(least_and_greatest: tuple[float, float]) -> str:
    return "{:g} to {:g}".format(*least_and_greatest)


def judge(road: Walk, *, new: Path, read: Path, detector: Trained, recogniser: Trained) -> None:
    """Print how well pages are read.

    Raises:
        StepError: too few of the new texts are right. The gates of the test split are in the job files.
    """
    right, total = compare(pages.read_truth(new), texts(read))
    say(f"\nDone in {road.elapsed}.")
    say(f"Detector:   hmean {metric(detector, 'hmean'):.3f} on its test pages. Report: {detector.work.report_page}")
    say(f"Recogniser: acc {metric(recogniser, 'acc'):.3f} on its test lines. Report: {recogniser.work.report_page}")
    say(f"New pages:  {right} of {total} texts right. Pictures: {read}")
    if right < ENOUGH * total:
        raise StepError(f"{right} of {total} texts on new pages are right: fewer than {ENOUGH:.0%}.")


def metric(trained: Trained, name: str) -> float:
    """Return a metric of the test split."""
    facts = json.loads(trained.work.evaluation_facts.read_text("utf-8"))
    return float(facts["metrics"][name])


def compare(truth: dict[str, list[str]], found: dict[str, list[str]]) -> tuple[int, int]:
    """Count the texts that were read right, page by page and wherever on the page, and the texts in all."""
    right = 0
    for page, wanted in truth.items():
        left = list(found.get(page, []))
        for text in wanted:
            if text in left:
                left.remove(text)
                right += 1
    return right, sum(len(wanted) for wanted in truth.values())


def texts(folder: Path) -> dict[str, list[str]]:
    """Return what predict wrote, by the name of the page."""
    read = {path.stem: json.loads(path.read_text("utf-8")) for path in folder.glob("*.json")}
    return {f"{name}.jpg": [line["text"] for line in page["lines"]] for name, page in read.items()}


if __name__ == "__main__":
    sys.exit(main())
