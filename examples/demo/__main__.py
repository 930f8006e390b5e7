"""`make demo`: from generated pages to pages read with two published models, on this machine.

Ends with 0 when every step did, both models reached their gate (hmean and acc 0.90), and at least eight of ten
texts on pages that no model has seen were read right.
"""

import json
import sys
from pathlib import Path

from examples.demo import pages
from examples.road import StepError, Trained, Walk, say, walk

JOBS = Path(__file__).parent
FOLDER = Path("build/demo")
ENOUGH = 0.80
"""Share of the texts of new pages that must be right."""


def main(road: Walk) -> None:
    """Walk the road; everything that is made stays in the folder until the next time."""
    road.announce("Draw 160 labelled pages and put them into a bucket")
    labelled = road.folder / "pages"
    pages.write_export(labelled, pages=160, seed=1)
    road.upload(labelled, "s3://ocr-data/demo/pages/")

    road.announce("Train a detector: two processes, two or three minutes")
    detector = road.train(JOBS / "det.yaml")

    road.announce("Train a recogniser on the lines of the same pages: two processes, two or three minutes")
    recogniser = road.train(JOBS / "rec.yaml")

    road.announce("Read new pages with the two published models")
    new = road.folder / "new"
    pages.write_export(new, pages=6, seed=2)
    read = road.read(new, detector=detector, recogniser=recogniser)
    right, total = compare(pages.read_truth(new), texts(read))

    say(f"\nDone in {road.elapsed}.")
    say(f"Detector:   hmean {metric(detector, 'hmean'):.3f} on its test pages. Report: {detector.work.report_page}")
    say(f"Recogniser: acc {metric(recogniser, 'acc'):.3f} on its test lines. Report: {recogniser.work.report_page}")
    say(f"New pages:  {right} of {total} texts right. Pictures: {read.absolute()}")
    if right < ENOUGH * total:
        raise StepError(f"Fewer than {ENOUGH:.0%} of the texts on new pages are right.")


def metric(trained: Trained, name: str) -> float:
    """Give a metric of the test split."""
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
    """Give what predict wrote, by the name of the page."""
    read = {path.stem: json.loads(path.read_text("utf-8")) for path in folder.glob("*.json")}
    return {f"{name}.jpg": [line["text"] for line in page["lines"]] for name, page in read.items()}


if __name__ == "__main__":
    sys.exit(walk(main, folder=FOLDER, steps=4))
