"""`ocrfleet predict`."""

import argparse
import os
import signal
import subprocess
import sys
from pathlib import Path

from jobs.commands import options, show
from jobs.commands.progress import transfer
from jobs.errors import UsageError
from jobs.local import plan
from jobs.models import pull
from jobs.models.cache import Cache
from trainer.contract import ExitCode
from trainer.run import worker_env
from trainer.system.process import hide

PROGRAM = (sys.executable, "-P", "-m", "trainer.system.confined", "trainer.ppocr.predict")


def add(parser: argparse.ArgumentParser) -> None:
    """Add its arguments."""
    options.command(
        parser,
        run=run,
        text="Read images, PDFs, or folders of these. For each page, write its text, a JSON file, and a picture with "
        "boxes, text and confidence. With --det and --rec, pages are read; with --det alone, boxes are found; "
        "with --rec alone, each image is one line. A model is a folder or a published model: s3://BUCKET/PREFIX "
        "(the newest run), s3://BUCKET/PREFIX@CHANNEL or s3://BUCKET/PREFIX#RUN.",
        examples="ocrfleet predict --det s3://models/det --rec s3://models/rec scans/\n"
        "ocrfleet predict --rec s3://ocr-models/slips-rec@production line.png -o json\n"
        "ocrfleet predict --det model/inference --out boxes page.jpg",
    )
    parser.add_argument("images", nargs="+", metavar="IMAGE", help="an image, a PDF, or a folder of these")
    parser.add_argument("--det", metavar="M", help="a detector: a folder or a published model")
    parser.add_argument("--rec", metavar="M", help="a recogniser: a folder or a published model")
    parser.add_argument(
        "--out",
        type=Path,
        metavar="DIR",
        default=Path("predictions"),
        help="folder for the results (default: predictions)",
    )
    parser.add_argument(
        "--font",
        type=Path,
        metavar="FILE",
        help="a font for the pictures, for scripts that the built-in font lacks, such as Chinese",
    )
    parser.add_argument("--device", choices=("cpu", "gpu"), help="what to compute on (default: what this machine has)")
    options.output(parser, "text", "json")
    options.cache(parser)


def run(arguments: argparse.Namespace) -> int:
    """Fetch the models, and read the images in a child process, which loads Paddle."""
    if not arguments.det and not arguments.rec:
        raise UsageError("No model is given: use --det, --rec, or both.")
    cache = Cache.choose(arguments.cache)
    words = []
    for option in ("det", "rec"):
        named = getattr(arguments, option)
        if named:
            words += [f"--{option}", str(pull.fetch(named, cache, progress=transfer(f"fetch {option}")))]
    if arguments.font:
        words += ["--font", str(arguments.font)]
    words += ["--device", arguments.device or plan.this_machine(), "--out", str(arguments.out)]
    # After `--`, since an image may be called -1.png.
    words += ["-o", arguments.output or "text", "--", *arguments.images]
    return read(words)


def read(words: list[str]) -> int:
    """Read images in a process without credentials for buckets; it shares our stdout."""
    hide()
    process = subprocess.Popen([*PROGRAM, *words], env=worker_env.confined(os.environ))
    try:
        code = process.wait()
    except KeyboardInterrupt:
        # The terminal has sent the same signal to it.
        process.wait(timeout=30)
        raise
    if code < 0:
        show.say(f"error: The reading process was killed by {signal.Signals(-code).name}.")
        return int(ExitCode.FAILED)
    return code
