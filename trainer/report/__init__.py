"""The report of a run: `report.html` and `report.md`, from what the stages left in the work folder.

Both say the same. The page needs nothing from elsewhere but the pictures beside it, and no script.
"""

import json
import shutil
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from trainer.datasets import Prepared
from trainer.progress import duration
from trainer.report import html, markdown, pictures
from trainer.report.content import Report, Shown, Table
from trainer.report.curve import curve
from trainer.workdir import WorkDir

_REASONS: Final = 12
"""Reasons for refusing samples that the report lists; the commonest first."""

_SOURCES: Final = 3
"""Places named for each reason."""


def write_report(
    work: WorkDir, *, name: str, run_id: str, task: str, facts: Mapping[str, object] | None = None
) -> None:
    """Write the report folder anew: report.html, report.md, curve.svg and pictures.

    Args:
        work: the node's folder; evaluate must be done, and verify where there is something to say of it.
        name: the job's name.
        run_id: the run id.
        task: `det` or `rec`.
        facts: more rows for the table about the run, such as `{"recipe": "rec-crnn-mobile"}`; nothing secret.
    """
    shutil.rmtree(work.report, ignore_errors=True)
    work.report.mkdir(parents=True)
    training, evaluation = _read(work.training_facts), _read(work.evaluation_facts)
    prepared = Prepared.load(work.prepared)
    main = "hmean" if task == "det" else "acc"
    report = Report(
        name=name,
        run_id=run_id,
        task=task,
        split=evaluation.get("split", "test"),
        headline=_headline(training, evaluation, main=main),
        metrics=_metrics(training, evaluation),
        curve=curve(training.get("history", {}), main_metric=main),
        dataset=_dataset(prepared),
        refused=_refused(prepared),
        verified=_verified(_read(work.verification_facts), task),
        facts=_facts(training, facts or {}),
        samples=_samples(work, task),
    )
    (work.report / "curve.svg").write_text(report.curve, "utf-8")
    (work.report / "report.md").write_text(markdown.render(report), "utf-8")
    (work.report / "report.html").write_text(html.render(report), "utf-8")


def _read(path: Path) -> dict[str, Any]:
    """Read a stage's facts; nothing when the stage has not run."""
    result: dict[str, Any] = json.loads(path.read_text("utf-8")) if path.exists() else {}
    return result


def _headline(training: Mapping[str, Any], evaluation: Mapping[str, Any], *, main: str) -> Table:
    found = evaluation.get("metrics", {})
    tiles = [(main, f"{found[main]:.4f}")] if main in found else []
    second = [name for name in ("precision", "recall", "norm_edit_dis") if name in found]
    tiles += [(name, f"{found[name]:.4f}") for name in second]
    tiles.append((f"{evaluation.get('split', 'test')} samples", f"{evaluation.get('samples', 0):,}"))
    if "seconds" in training:
        tiles.append(("training", duration(training["seconds"])))
    return tiles


def _metrics(training: Mapping[str, Any], evaluation: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    found = evaluation.get("metrics", {})
    best = (training.get("best") or {}).get("metrics", {})
    names = [name for name in [*found, *(n for n in best if n not in found)] if name != "fps"]
    return [(name, _number(found.get(name)), _number(best.get(name))) for name in names]


def _dataset(prepared: Prepared) -> Table:
    rows = [(f"{split} samples", f"{prepared.counts.get(split, 0):,}") for split in ("train", "eval", "test")]
    if prepared.task == "rec" and prepared.dictionary.exists():
        characters = prepared.dictionary.read_text("utf-8").removesuffix("\n").split("\n")
        rows.append(("characters", f"{len(characters)} and the space: {''.join(characters)}"))
        rows.append(("longest label", f"{prepared.max_text_length} characters"))
    if prepared.ignored:
        rows.append(("marked as unreadable", f"{prepared.ignored:,} lines"))
    rows.append(("refused", f"{len(prepared.refused):,}"))
    return [*rows, ("digest", prepared.digest)]


def _refused(prepared: Prepared) -> list[tuple[str, str, str]]:
    """Group what was refused by its reason, the commonest first."""
    # What stands after the first colon is about the one sample: the characters that its label has too many.
    reasons = [str(entry["reason"]).partition(": ")[0] for entry in prepared.refused]
    rows = []
    for reason, count in Counter(reasons).most_common(_REASONS):
        pairs = zip(prepared.refused, reasons, strict=True)
        places = [str(entry["source"]) for entry, its in pairs if its == reason]
        more = f" and {count - _SOURCES:,} more" if count > _SOURCES else ""
        rows.append((reason, f"{count:,}", ", ".join(places[:_SOURCES]) + more))
    return rows


def _verified(found: Mapping[str, Any], task: str) -> list[str]:
    said = []
    if outputs := found.get("outputs"):
        said.append(
            f"The outputs of the exported model differ from the trained model's by {outputs['max_difference']:.2g} at "
            f"most, over {outputs['samples']} samples ({outputs['tolerance']:.2g} is allowed)."
        )
    if reading := found.get("paddleocr"):
        equal = reading.get("boxes_equal" if task == "det" else "texts_equal")
        of = f" of {reading['samples']}" if "samples" in reading else ""
        what = "pages with the same boxes (±1 pixel)" if task == "det" else "lines with the same text"
        said.append(f"paddleocr {reading['version']} reads {equal}{of} {what} as the trained model.")
        metric, trained = (_as_metrics(reading.get(key)) for key in ("metric", "metric_trained"))
        compared = [f"{name} {metric[name]:.4f} ({trained[name]:.4f})" for name in metric if name in trained]
        if compared:
            said.append(f"Its metrics through paddleocr, and the trained model's: {', '.join(compared)}.")
    if found.get("pair") == "loaded":
        said.append("The model loads as one of a pair through PaddleOCR(…).")
    return said


def _as_metrics(value: object) -> dict[str, float]:
    if isinstance(value, Mapping):
        return {str(name): float(number) for name, number in value.items()}
    return {"metric": float(value)} if isinstance(value, int | float) else {}


def _facts(training: Mapping[str, Any], more: Mapping[str, object]) -> Table:
    best = training.get("best") or {}
    rows = [(name, str(value)) for name, value in more.items()]
    rows += [(name, f"{training[name]:,}") for name in ("epochs", "steps", "samples") if name in training]
    if best:
        rows.append(("best model", f"after step {best['step']:,}, epoch {best['epoch']}"))
    if "world_size" in training:
        device = training.get("device", "")
        rows.append(("devices", f"{training['world_size']} {device}".strip()))
    if "parameters_sha256" in training:
        rows.append(("parameters (sha256)", str(training["parameters_sha256"])))
    return rows


def _samples(work: WorkDir, task: str) -> list[Shown]:
    """Choose samples, draw their pictures, and say what is to be seen."""
    if not work.predictions.exists():
        return []
    rows = pictures.read_rows(work.predictions)
    if task == "det":
        pages = pictures.choose([pictures.match(row) for row in rows])
        return [_page(work, page, number) for number, page in enumerate(pages, start=1)]
    lines = pictures.choose([pictures.Line(row) for row in rows])
    return [_line(work, line, number) for number, line in enumerate(lines, start=1)]


def _page(work: WorkDir, page: pictures.Page, number: int) -> Shown:
    picture = f"page-{number:02d}.jpg"
    pictures.draw_page(page, root=work.prepared, to=work.report / picture)
    words = f"{len(page.found)} found, {len(page.missed)} missed, {len(page.false)} false"
    right = not (page.missed or page.false)
    return Shown(picture=picture, source=str(page.row["source"]), right=right, words=words)


def _line(work: WorkDir, line: pictures.Line, number: int) -> Shown:
    picture = f"line-{number:02d}.png"
    pictures.draw_line(line, root=work.prepared, to=work.report / picture)
    return Shown(
        picture=picture,
        source=str(line.row["source"]),
        right=line.right,
        words="right" if line.right else "wrong",
        label=str(line.row["label"]),
        pieces=line.pieces,
        score=float(line.row["score"]),
    )


def _number(value: object) -> str:
    return f"{value:.4f}" if isinstance(value, int | float) else "–"
