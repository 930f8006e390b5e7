"""A detector and a recogniser from an export of real receipts: `python -m examples.receipts FOLDER`.

FOLDER is what PPOCRLabel exported. It is put into the bucket of a local S3 server, both job files beside this
program run with two processes each, and one of the pages is read with the published pair. Few epochs, but enough for
the gates of the job files; `python -m benchmarks.receipts` trains longer and says how well receipts are read then.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from examples.road import StepError, Walk, say, walk

JOBS = Path(__file__).parent
FOLDER = Path("build/receipts")


def main() -> int:
    """Read the command line, walk the road, give the exit code."""
    parser = argparse.ArgumentParser(prog="python -m examples.receipts", description="Train on exported receipts.")
    parser.add_argument("export", type=Path, help="the folder that PPOCRLabel exported")
    export = parser.parse_args().export.absolute()
    if not (export / "Label.txt").is_file():
        parser.error(f"{export} has no Label.txt, so it is not what PPOCRLabel exports")
    return walk(lambda road: steps(road, export), folder=FOLDER, steps=4)


def steps(road: Walk, export: Path) -> None:
    """Upload, train twice, read a page."""
    road.announce("Put the export into a bucket")
    road.upload(export, "s3://ocr-data/receipts/")

    road.announce("Train a detector for a few epochs: two processes")
    detector = road.train(JOBS / "det.yaml")

    road.announce("Train a recogniser on the lines of the same pages: two processes")
    recogniser = road.train(JOBS / "rec.yaml")

    road.announce("Read a page with the two published models")
    first = sorted(path for path in export.iterdir() if path.suffix in (".jpg", ".png"))[0]
    read = road.read(first, detector=detector, recogniser=recogniser)
    facts = json.loads((read / f"{first.stem}.json").read_text("utf-8"))
    texts = [str(line["text"]) for line in facts["lines"]]
    require_read(texts, labelled=labelled(export, first.name))

    say(f"\nDone in {road.elapsed}. {len(texts)} lines were found on {first.name}; pictures: {read.absolute()}")
    for trained in (detector, recogniser):
        metrics = json.loads(trained.work.evaluation_facts.read_text("utf-8"))["metrics"]
        say(f"{trained.model}: " + ", ".join(f"{name} {value:.3f}" for name, value in metrics.items()))
        if not trained.work.report_page.is_file():
            raise StepError(f"The report {trained.work.report_page} is missing.")


def labelled(export: Path, page: str) -> int:
    """Count the labelled lines of a page."""
    for row in (export / "Label.txt").read_text("utf-8").splitlines():
        name, _, label = row.partition("\t")
        if Path(name).name == page:
            return len(json.loads(label))
    raise StepError(f"{export / 'Label.txt'} has no line for {page}.")


def require_read(texts: Sequence[str], *, labelled: int) -> None:
    """Check that the pair reads a page of its own training: boxes near the labelled number, most of them with a text.

    Raises:
        StepError: it does not.
    """
    read = sum(bool(text.strip()) for text in texts)
    if not labelled / 2 <= len(texts) <= labelled * 2 or read < len(texts) / 2:
        raise StepError(
            f"{len(texts)} lines were found and {read} of them read, where {labelled} are labelled: the published "
            "models do not work as a pair."
        )


if __name__ == "__main__":
    sys.exit(main())
