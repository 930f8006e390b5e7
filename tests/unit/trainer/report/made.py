"""Finished runs for the tests of the report."""

import json
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from PIL import Image

from trainer.evaluation import analysis
from trainer.registry import distillation
from trainer.registry.distillation import Distillation
from trainer.report import write_report
from trainer.run.workdir import WorkDir

HISTORY: dict[str, Any] = {
    "loss": [{"step": i, "epoch": 1, "loss": 100 / i, "lr": 1e-3} for i in range(1, 201)],
    "eval": [
        {"step": 100, "epoch": 1, "metrics": {"acc": 0.5, "norm_edit_dis": 0.7}, "best": True},
        {"step": 200, "epoch": 2, "metrics": {"acc": 0.4, "norm_edit_dis": 0.6}, "best": False},
    ],
}

"""Of a recogniser: a loss of a wide range, and metrics that fall."""

DET_HISTORY: dict[str, Any] = {
    "loss": [{"step": i, "epoch": 1, "loss": 6 - i / 4, "lr": 1e-3} for i in range(1, 21)],
    "eval": [
        {
            "step": step,
            "epoch": 1,
            "metrics": {"precision": 0.9, "recall": 0.8, "hmean": hmean, "fps": 7.5, "z": 0.1, "y": 0.2},
            "best": best,
        }
        for step, hmean, best in [(5, 0.5, True), (10, 0.97, True), (20, 0.96, False)]
    ],
}
"""Of a detector: a short loss, more metrics than have a line, and a best point in the middle, near the top."""


def square(left: int, top: int, side: int = 20) -> list[list[int]]:
    return [[left, top], [left + side, top], [left + side, top + side], [left, top + side]]


def line(points: list[list[int]], text: str = "x") -> dict[str, Any]:
    return {"transcription": text, "points": points, "difficult": False}


def dump(path: Path, value: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, ensure_ascii=False), "utf-8")


def work_of(tmp_path: Path, task: str, rows: list[dict[str, Any]]) -> WorkDir:
    """A work folder as the stages leave it, with one picture for all samples."""
    work = WorkDir(tmp_path)
    found = {"acc": 0.5, "norm_edit_dis": 0.7} if task == "rec" else {"precision": 1.0, "recall": 0.5, "hmean": 0.67}
    best = {"step": 100, "epoch": 1, "metrics": found}
    dump(
        work.training_facts,
        {
            "history": HISTORY if task == "rec" else DET_HISTORY,
            "best": best,
            "steps": 200,
            "seconds": 75.0,
            "world_size": 2,
            "device": "gpu",
            "parameters_sha256": "e" * 64,
        },
    )
    told = analysis.analyse(rows, {"Architecture": {"model_type": task}, "Metric": {"ignore_space": False}})
    dump(work.evaluation_facts, {"split": "test", "samples": len(rows), "metrics": found, "analysis": told})
    outputs = {"max_difference": 1e-6, "tolerance": 1e-4, "samples": 3}
    equal = {"texts_equal": 3} if task == "rec" else {"boxes_equal": 2}
    reading = {"version": "3.7.0", **equal, "samples": 3, "metric": found, "metric_trained": found}
    dump(work.verification_facts, {"outputs": outputs, "paddleocr": reading, "pair": "loaded"})
    refused = [
        {"source": f"Label.txt:{n}", "reason": "the dictionary lacks characters of the label: 'é'"} for n in range(9)
    ]
    facts = {
        "task": task,
        "digest": "d" * 64,
        "max_text_length": 4,
        "refused": refused,
        "ignored": 1234 if task == "det" else 0,
    }
    dump(work.prepared / "dataset.json", {**facts, "counts": {"train": 1200, "eval": 1, "test": len(rows)}})
    (work.prepared / "dictionary.txt").write_text("a\n<\nb\n", "utf-8")
    Image.new("RGB", (200, 100), "white").save(work.prepared / "x.png")
    work.evaluation.mkdir(exist_ok=True)
    work.predictions.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), "utf-8")
    return work


def rec_row(label: str, text: str, score: float = 0.9) -> dict[str, Any]:
    return {"image": "x.png", "source": f"rec_gt.txt:{label}", "label": label, "text": text, "score": score}


def write(work: WorkDir, task: str, *, distilled: Distillation | None = None) -> tuple[str, str]:
    facts = {"recipe": f"{task}-x"}
    write_report(work, name="receipts", run_id="receipts-0a1b2c3d", task=task, facts=facts, distilled=distilled)
    return (work.report / "report.html").read_text("utf-8"), (work.report / "report.md").read_text("utf-8")


class Page(HTMLParser):
    """What a browser would load and run."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.loads: list[str] = []
        self.handlers: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.loads += [value or "" for name, value in attrs if name in ("src", "href")]
        self.handlers += [name for name, _ in attrs if name.startswith("on")]


NETWORKS = {"Student": (0.5, False), "Student2": (0.45, False), "Teacher": (0.9, True)}


def distilled(work: WorkDir, evaluations: int = 2, *, better_alone: bool = True) -> Distillation:
    """Make the training of a work folder one of three networks, the picked one then trained by itself for an epoch."""
    at = {name: {"acc": acc, "norm_edit_dis": acc + 0.1} for name, (acc, _) in NETWORKS.items()}
    entries = [
        {"step": 100 * n, "epoch": n, "metrics": at["Student"], "network": "Student", "networks": at, "best": n <= 2}
        for n in range(1, evaluations + 1)
    ]
    metrics = {"acc": 0.6, "norm_edit_dis": 0.7}
    alone = {"step": 100 * evaluations + 50, "epoch": 1, "metrics": metrics, "best": better_alone}
    about = {name: {"parameters": 1_234_567, "frozen": frozen} for name, (_, frozen) in NETWORKS.items()}
    facts = {
        "history": {"loss": HISTORY["loss"], "eval": [*entries, {**alone, "network": "Student"}]},
        "distillation": {
            "networks": {name: {**about[name], "metrics": at[name], "seconds_per_image": 0.0123} for name in about},
            "picked": "Student",
            "why": "Student has the best acc.",
            "fine_tuned_epochs": 1,
        },
    }
    dump(work.training_facts, facts)
    work.inference.mkdir()
    (work.inference / "inference.pdiparams").write_bytes(bytes(1234))
    found = distillation.read(work)
    assert found
    return found
