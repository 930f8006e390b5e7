"""What a teacher is good for: a small recogniser with few labels, by itself and with a frozen teacher.

A teacher learns from many generated lines and publishes its weights. Then, for each seed, the same student learns from
the same few lines for the same number of steps, once by the labels alone and once beside the teacher. All are judged
once, after their last step, on the same lines that none of them saw. Each run is what a user would start, `ocrfleet
run` on a job file beside this program; two students learn at a time. Run it on a machine that does nothing else.
With --receipts the recipes of several networks go their whole way instead, narrow and for a few steps, on real pages.
"""

import argparse
import json
import os
import shutil
import statistics
import sys
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

from benchmarks import narrow_receipts
from benchmarks.road import JOBS, Ended, RunError, run_job
from examples.demo import pages
from jobs.commands.options import positive

PAGES: Final = {"many": 120, "few": 8, "test": 30}
"""Drawn for the teacher, for the students and to judge by: some nine lines a page."""

METRICS: Final = ("acc", "norm_edit_dis")

_AT_ONCE: Final = 2
"""Students that learn beside one another; each has a process."""

_DEADLINE: Final = 1800.0
"""Seconds for one run; it is there for a run that hangs."""


def main() -> int:
    """Read the command line, run, print; give the exit code."""
    arguments = _arguments()
    began = time.monotonic()
    try:
        if arguments.receipts:
            found = narrow_receipts.measure(arguments.receipts.absolute(), arguments.out.absolute() / "receipts")
            said = narrow_receipts.as_table(found)
        else:
            found = measure(arguments.out.absolute() / "digits", seeds=range(1, arguments.seeds + 1))
            said = as_table(found)
    except RunError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    found |= {"minutes": (time.monotonic() - began) / 60, "cores": len(os.sched_getaffinity(0))}
    if arguments.output == "json":
        print(json.dumps(found, indent=1))
    else:
        print(f"{said}\n\n{found['minutes']:.1f} min on {found['cores']} cores")
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.distillation",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--seeds", type=positive, default=3, metavar="N", help="students of a kind (default: 3)")
    parser.add_argument("--receipts", type=Path, metavar="FOLDER", help="what PPOCRLabel exported: see above")
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("build/benchmarks/distillation"),
        help="work folders and models (default: %(default)s)",
    )
    parser.add_argument("-o", "--output", choices=("table", "json"), default="table", help="(default: table)")
    arguments = parser.parse_args()
    if arguments.receipts and not (arguments.receipts / "Label.txt").is_file():
        parser.error(f"{arguments.receipts} has no Label.txt, so it is not what PPOCRLabel exports")
    return arguments


def measure(folder: Path, *, seeds: Sequence[int]) -> dict[str, Any]:
    """Train the teacher, then the students; give the figures of all.

    Raises:
        RunError: a run failed.
    """
    shutil.rmtree(folder, ignore_errors=True)
    draw(folder)
    teacher = run_job(JOBS / "distillation-teacher.yaml", folder, sets=_places(folder, "many"), deadline=_DEADLINE)
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        plain = [pool.submit(_student, "plain", folder, seed=seed) for seed in seeds]
        distilled = [
            pool.submit(_student, "distilled", folder, seed=seed, baseline=alone)
            for seed, alone in zip(seeds, plain, strict=True)
        ]
        students = {"plain": [each.result() for each in plain], "distilled": [each.result() for each in distilled]}
    return {
        "teacher": teacher.facts(),
        **{kind: [ended.facts() for ended in runs] for kind, runs in students.items()},
        **{metric: summary(students, metric) for metric in METRICS},
    }


def draw(folder: Path) -> None:
    """Draw the labelled pages, each set with a seed of its own, and write the dictionary of all that may be on them."""
    for seed, (name, count) in enumerate(PAGES.items(), start=1):
        pages.write_export(folder / "data" / name, pages=count, seed=seed)
    characters = sorted({*"".join(pages.WORDS), *"0123456789"})
    (folder / "data" / "dictionary.txt").write_text("".join(f"{each}\n" for each in characters), "utf-8")


def _places(folder: Path, lines: str) -> list[str]:
    data = (folder / "data").as_uri()
    return [
        f"run.data.train={data}/{lines}/",
        f"run.data.eval={data}/test/",
        f"run.data.dictionary={data}/dictionary.txt",
        f"run.output={(folder / 'models').as_uri()}/",
    ]


def _student(kind: str, folder: Path, *, seed: int, baseline: Future[Ended] | None = None) -> Ended:
    sets = [*_places(folder, "few"), f"run.train.seed={seed}"]
    if baseline:
        sets.append(f"run.distill.baseline={baseline.result().run}")
    return run_job(JOBS / f"distillation-{kind}.yaml", folder, sets=sets, deadline=_DEADLINE)


def summary(students: Mapping[str, Sequence[Ended]], metric: str) -> dict[str, Any]:
    """Give mean, least and greatest of each kind, and the gain, which is between students of one seed."""
    values = {kind: [ended.metrics[metric] for ended in runs] for kind, runs in students.items()}
    values["gain"] = [with_one - alone for alone, with_one in zip(values["plain"], values["distilled"], strict=True)]
    return {
        kind: {"mean": statistics.mean(each), "least": min(each), "greatest": max(each)}
        for kind, each in values.items()
    }


def as_table(found: Mapping[str, Any]) -> str:
    """Lay the figures out as a table in Markdown: means, with the least and the greatest."""
    rows = ["| | lines | steps | acc | norm_edit_dis |", "| --- | --- | --- | --- | --- |"]
    for kind, label in (("teacher", "teacher"), ("plain", "student alone"), ("distilled", "student with the teacher")):
        first = found[kind] if kind == "teacher" else found[kind][0]
        cells = [
            f"{first['metrics'][metric]:.3f}" if kind == "teacher" else _spread(found[metric][kind])
            for metric in METRICS
        ]
        rows.append(f"| {label} | {first['samples']['train']} | {first['steps']} | {' | '.join(cells)} |")
    rows.append(f"| gain | | | {' | '.join(_spread(found[metric]['gain'], sign='+') for metric in METRICS)} |")
    tested, seeds = found["teacher"]["samples"]["eval"], len(found["plain"])
    return "\n".join([*rows, "", f"{seeds} seeds: mean (least to greatest), on {tested} lines that none of them saw"])


def _spread(of: Mapping[str, float], *, sign: str = "") -> str:
    mean, least, greatest = (format(of[key], f"{sign}.3f") for key in ("mean", "least", "greatest"))
    return f"{mean} ({least} to {greatest})"


if __name__ == "__main__":
    sys.exit(main())
