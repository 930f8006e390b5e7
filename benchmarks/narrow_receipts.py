"""The three recipes of several networks on real pages: each from a folder to a published student, and how fast.

Two processes on a CPU, networks narrow enough for that, a few steps: it shows that the roads hold, not what is learned.
"""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from benchmarks.road import JOBS, run_job

CASES: Final = ("rec", "dml", "cml")
"""In this order: the last one's teacher is what the one before it has published."""

PAGES: Final = 16
"""Of the export, so that an epoch is a few steps."""

_DEADLINE: Final = 900.0
"""Seconds for one run; it is there for a run that hangs."""


def measure(export: Path, folder: Path) -> dict[str, Any]:
    """Run the recipes on a part of an export; give what came of each.

    Raises:
        RunError: a run failed.
    """
    shutil.rmtree(folder, ignore_errors=True)
    data = _part(export, folder / "data" / "receipts")
    sets = [f"run.data.train={data.as_uri()}/", f"run.output={(folder / 'models').as_uri()}/"]
    return {
        case: run_job(JOBS / f"distillation-{case}.yaml", folder, sets=sets, deadline=_DEADLINE).facts()
        for case in CASES
    }


def _part(export: Path, folder: Path) -> Path:
    """Lay the first pages out as an export of their own."""
    folder.mkdir(parents=True)
    rows = (export / "Label.txt").read_text("utf-8").splitlines()[:PAGES]
    for row in rows:
        name = row.split("\t")[0].rpartition("/")[2]
        shutil.copy(export / name, folder / name)
    (folder / "Label.txt").write_text("".join(f"{row}\n" for row in rows), "utf-8")
    return folder


def as_table(found: Mapping[str, Any]) -> str:
    """Lay the runs out as a table in Markdown."""
    rows = ["| recipe | samples | steps | samples/s | done |", "| --- | --- | --- | --- | --- |"]
    recipes = {"rec": "rec-pp-ocrv3-distill", "dml": "det-pp-ocrv3-dml", "cml": "det-pp-ocrv3-cml"}
    for case, each in found.items():
        done = ", ".join(each["stages"])
        speed = f"{each['samples_per_second']:.2f}"
        rows.append(f"| {recipes[case]} | {each['samples']['train']} | {each['steps']} | {speed} | {done} |")
    return "\n".join(rows)
