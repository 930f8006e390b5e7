"""The real command line and small job files, for the tests that go the whole road."""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import yaml

from jobs.jobfile import overrides

SMALL = {
    "rec": {
        "Train.dataset.transforms.RecResizeImg.image_shape": [3, 32, 64],
        "Eval.dataset.transforms.RecResizeImg.image_shape": [3, 32, 64],
    },
    "det": {
        "Train.dataset.transforms.EastRandomCropData.size": [160, 160],
        "Eval.dataset.transforms.DetResizeForTest": {"limit_side_len": 160, "limit_type": "max"},
    },
}
RECIPES = {"rec": "rec-crnn-mobile", "det": "det-db-mobile"}


def job_file(
    folder: Path,
    *,
    data: str,
    output: str | None = None,
    task: str = "rec",
    name: str = "test",
    devices: int = 1,
    sets: Sequence[str] = (),
    **train: object,
) -> Path:
    """Write a job file of a few steps on CPU; `sets` go through the file's own --set."""

    raw = {
        "apiVersion": "ocrfleet.io/v1",
        "name": name,
        "run": {
            "task": task,
            "recipe": RECIPES[task],
            "overrides": dict(SMALL[task]),
            "data": {"train": data, "split": "4:1:1"},
            "train": {"epochs": 1, "batchSizePerDevice": 4, **train},
            "gate": {"minimum": 0},
            "output": output or (folder / "bucket" / "models").as_uri(),
        },
        "placement": {
            "device": "cpu",
            "devicesPerNode": devices,
            # For `check`; nothing pulls it.
            "image": "registry.example.com/ocr/ocrfleet:0.1.0",
            # It takes longer than these runs; tests/e2e/test_rehearsal.py is about it.
            "rehearse": False,
        },
    }
    for text in sets:
        overrides.apply(raw, text)
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump(raw))
    return path


def ocrfleet(*words: str, timeout: float = 180) -> subprocess.CompletedProcess[str]:
    """Run the command to its end."""
    return subprocess.run(
        [sys.executable, "-m", "jobs.cli", *words], capture_output=True, text=True, timeout=timeout, check=False
    )


def start(*words: str) -> subprocess.Popen[str]:
    """Start the command in a process group of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "jobs.cli", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
