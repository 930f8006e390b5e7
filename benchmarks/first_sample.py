"""Time the first sample of a fresh process: python -m benchmarks.first_sample FOLDER SECONDS

The folder is that of a prepared run; the seconds are when the process was started. Prints a JSON list of steps, with
seconds of the clock and of the processor.
"""

import json
import sys
import time
from pathlib import Path
from typing import Any

steps: list[dict[str, Any]] = []


def mark(name: str) -> None:
    """Add what was done since the last mark."""
    clock, processor = time.time() - float(sys.argv[2]), time.process_time()
    done = [sum(step[what] for step in steps) for what in ("seconds", "processor")]
    steps.append({"step": name, "seconds": clock - done[0], "processor": processor - done[1]})


def main() -> None:
    """Make two samples."""
    mark("Python")
    import cv2

    cv2.setNumThreads(1)
    mark("numpy, OpenCV")
    import paddle  # noqa: F401

    mark("paddle")
    from trainer.ppocr import tree

    tree.on_path()
    import ppocr.data.imaug  # noqa: F401

    mark("PaddleOCR's operators")
    import yaml

    from trainer.datasets.prepared import Prepared
    from trainer.ppocr.data import TrainingSet
    from trainer.run.workdir import WorkDir

    mark("ocrfleet's modules")
    from trainer.ppocr.operators import native

    native.load()
    mark("the library, loaded and checked")
    work = WorkDir(Path(sys.argv[1]))
    samples = Prepared.load(work.prepared).samples("train")
    config = yaml.safe_load(work.configuration.read_text("utf-8"))
    dataset = TrainingSet(samples, config, seed=1)
    mark("list of samples, operators of the recipe")
    for number, name in enumerate(("first sample", "second sample")):
        dataset[(0, number, 0)]
        mark(name)
    print(json.dumps(steps))


if __name__ == "__main__":
    main()
