"""The tiny trainer goes the whole road on this machine, through every stage of the real one but the worker's."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from examples.demo import pages
from tests.cluster import lines
from tests.tinytrainer.assemble import ROOT, assemble


@pytest.mark.timeout(600)
def test_a_run_of_two_nodes_publishes_its_report(tmp_path: Path) -> None:
    tree = assemble(tmp_path / "tree")
    pages.write_export(tmp_path / "pages", pages=6, seed=1)
    narrow = {f"{part}.dataset.transforms.RecResizeImg.image_shape": [3, 32, 64] for part in ("Train", "Eval")}
    job = {
        "apiVersion": "ocrfleet.io/v1",
        "name": lines.NAME,
        "run": {
            "task": "rec",
            "recipe": "rec-crnn-mobile",
            "data": {"train": f"file://{tmp_path}/pages/", "split": "4:1:1"},
            "train": {"epochs": 1, "batchSizePerDevice": 4},
            "overrides": narrow,
            "gate": {"minimum": 0},
            "output": f"file://{tmp_path}/out/",
        },
        "placement": {"nodes": 2, "device": "cpu"},
    }
    (tmp_path / "job.yaml").write_text(yaml.safe_dump(job), "utf-8")
    ran = subprocess.run(
        [
            sys.executable,
            "-P",
            "-m",
            "jobs.cli",
            "run",
            str(tmp_path / "job.yaml"),
            "--workdir",
            str(tmp_path / "work"),
        ],
        env={**os.environ, "PYTHONPATH": f"{tree}{os.pathsep}{ROOT}", "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    (manifest,) = (tmp_path / "out" / "runs").glob("*/manifest.json")
    files = [each["path"] for each in json.loads(manifest.read_text("utf-8"))["files"]]
    report = next(path for path in files if path.endswith("report.md"))
    assert "reads the same text as the trained model on" in (manifest.parent / report).read_text("utf-8")
