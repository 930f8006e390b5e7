"""The report of a run: `report.html` and `report.md`, from the outputs of the stages in the work folder.

Both have the same content. The page needs only the pictures next to it, and no script.
"""

import itertools
import json
import logging
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

from trainer.datasets import image_workers
from trainer.datasets.headers import ImageError
from trainer.datasets.prepared import Prepared
from trainer.datasets.refusals import by_reason, where
from trainer.errors import DatasetError
from trainer.evaluation.analysis import Comparison, Row
from trainer.registry.distillation import Distillation
from trainer.report import findings, html, markdown, networks, pictures
from trainer.report.content import Report, Section, Shown, Table
from trainer.report.curve import curve
from trainer.run.workdir import WorkDir
from trainer.telemetry.units import duration

if TYPE_CHECKING:
    from trainer.datasets.images import Image

log = logging.getLogger(__name__)
Sample = TypeVar("Sample", pictures.Page, pictures.Line)

_REASONS: Final = 12
"""How many reasons for refusing samples the report lists, most common first."""


def write_report(
    work: WorkDir,
    *,
    name: str,
    run_id: str,
    task: str,
    facts: Mapping[str, object] | None = None,
    distilled: Distillation | None = None,
) -> None:
    """Write the report folder anew: report.html, report.md, curve.svg and pictures.

    Args:
        work: the node's folder; evaluate must be done, and verify where there is something to say of it.
        name: the job's name.
        run_id: the run id.
        task: `det` or `rec`.
        facts: more rows for the table about the run, such as `{"recipe": "rec-crnn-mobile"}`; nothing secret.
        distilled: what is told of the run's distillation, where it is one.
    """
    shutil.rmtree(work.report, ignore_errors=True)
    work.report.mkdir()
    training, evaluation = _read(work.training_facts), _read(work.evaluation_facts)
    prepared = Prepared.load(work.prepared)
    main = "hmean" if task == "det" else "acc"
    worst, others = _samples(work, task, Comparison.of(evaluation.get("analysis", {}).get("compared")))
    report = Report(
        name=name,
        run_id=run_id,
        task=task,
        split=evaluation.get("split", "test"),
        headline=_headline(training, evaluation, main=main),
        metrics=_metrics(training, evaluation),
        curve=curve(training.get("history", {}), main_metric=main, picked=distilled.picked if distilled else None),
        distillation=networks.sections(distilled, training.get("history", {}).get("eval", ())) if distilled else [],
        analysis=findings.sections(evaluation.get("analysis", {}), task=task),
        dataset=_dataset(prepared),
        left_out=_left_out(prepared, training),
        verified=_verified(_read(work.verification_facts), task),
        facts=_facts(training, facts or {}),
        worst=worst,
        others=others,
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


def _left_out(prepared: Prepared, training: Mapping[str, Any]) -> list[Section]:
    """List the samples that were not used for training."""
    before = [(str(entry["source"]), str(entry["reason"])) for entry in prepared.refused]
    sections = [
        _refused("Refused samples", before),
        _refused("Refused during training", training.get("refused", {}).items()),
        _skipped(training.get("skipped_batches", ())),
    ]
    return [section for section in sections if section.rows]


def _skipped(batches: Sequence[Mapping[str, Any]]) -> Section:
    return Section(
        title="Skipped batches",
        note="With these batches the loss became infinite or NaN. Training went back to a checkpoint and skipped them.",
        head=("epoch", "step", "reason", "samples", "where"),
        rows=[
            (
                f"{batch['epoch']}",
                f"{batch['step']:,}",
                batch["reason"],
                f"{len(samples):,}",
                where(samples, len(samples)),
            )
            for batch in batches
            for samples in [batch["samples"]]
        ],
        numbers=("epoch", "step", "samples"),
        verbatim=("where",),
    )


def _refused(title: str, refused: Iterable[tuple[str, str]]) -> Section:
    return Section(
        title=title,
        head=("reason", "count", "where"),
        rows=[(reason.reason, f"{reason.count:,}", reason.where) for reason in by_reason(refused)[:_REASONS]],
        numbers=("count",),
        verbatim=("where",),
    )


def _verified(verification: Mapping[str, Any], task: str) -> list[str]:
    if not verification:
        return []
    outputs, reading = verification["outputs"], verification["paddleocr"]
    samples, metrics, trained = reading["samples"], reading["metric"], reading["metric_trained"]
    same = (
        f"finds the same boxes (±1 pixel) as the trained model on {reading['boxes_equal']} of {samples} pages"
        if task == "det"
        else f"reads the same text as the trained model on {reading['texts_equal']} of {samples} lines"
    )
    compared = ", ".join(f"{name} {value:.4f} ({trained[name]:.4f})" for name, value in metrics.items())
    return [
        f"Over {outputs['samples']} samples, the outputs of the exported and the trained model differ by at most "
        f"{outputs['max_difference']:.2g} ({outputs['tolerance']:.2g} is allowed).",
        f"paddleocr {reading['version']} {same}.",
        f"Metrics through paddleocr (and of the trained model): {compared}.",
        "The model loads together with a second model through PaddleOCR(…).",
    ]


def _facts(training: Mapping[str, Any], more: Mapping[str, object]) -> Table:
    best = training.get("best") or {}
    rows = [(name, str(value)) for name, value in more.items()]
    rows += [(name, f"{training[name]:,}") for name in ("epochs", "steps", "samples") if name in training]
    if best:
        rows.append(("best model", f"after step {best['step']:,}, epoch {best['epoch']}"))
    if "world_size" in training:
        device = training.get("device", "")
        rows.append(("devices", f"{training['world_size']} {device}".strip()))
    reading = training.get("reading", {})
    if reading.get("seconds"):
        share = reading["reader_wait_seconds"] / reading["seconds"]
        rows.append(("waiting for samples", f"{100 * share:.0f} % of the time"))
    if "parameters_sha256" in training:
        rows.append(("parameters (sha256)", str(training["parameters_sha256"])))
    return rows


def _samples(work: WorkDir, task: str, comparison: Comparison) -> tuple[list[Shown], list[Shown]]:
    """Choose samples, draw their pictures and describe them: the worst ones, and some of the rest."""
    if not work.predictions.exists():
        return [], []
    rows = pictures.read_rows(work.predictions)
    numbers = itertools.count(1)
    with _decoder(work) as decode:
        if task == "det":
            pages = pictures.choose(map(pictures.Page, rows), pictures.SHOWN[task])
            worst, others = (_shown(part, lambda page: _page(work, page, decode, next(numbers))) for part in pages)
        else:
            lines = pictures.choose((pictures.Line(row, comparison) for row in rows), pictures.SHOWN[task])
            worst, others = (_shown(part, lambda line: _line(work, line, decode, next(numbers))) for part in lines)
    return worst, others


def _shown(samples: Iterable[Sample], show: Callable[[Sample], Shown]) -> list[Shown]:
    """Return what can be shown: memory that is short now, or a file that was lost, must not cost a trained model."""
    found = []
    for sample in samples:
        try:
            found.append(show(sample))
        except DatasetError as error:
            log.warning("The report lacks a picture: %s", error)
    return found


@contextmanager
def _decoder(work: WorkDir) -> "Iterator[Callable[[Row], Image]]":
    """Return a function that decodes the image of a row, in another process: this one holds the bucket's keys.

    The pixels are those that training saw, so boxes lie where the model found them.
    """
    # Prepare has counted the pixels.
    with image_workers.decoder(max_pixels=sys.maxsize) as decode:

        def of(row: Row) -> "Image":
            path = work.prepared / row["image"]
            try:
                return decode(path).pixels
            except ImageError as error:
                raise DatasetError(f"'{path}': {error}.") from error

        yield of


def _page(work: WorkDir, page: pictures.Page, decode: "Callable[[Row], Image]", number: int) -> Shown:
    picture = f"page-{number:02d}.jpg"
    pictures.draw_page(page, decode(page.row), to=work.report / picture)
    match = page.match
    words = f"{len(match.pairs)} found, {len(match.missed)} missed, {len(match.false)} false; hmean {match.hmean:.2f}"
    return Shown(picture=picture, source=str(page.row["source"]), right=page.right, words=words)


def _line(work: WorkDir, line: pictures.Line, decode: "Callable[[Row], Image]", number: int) -> Shown:
    picture = f"line-{number:02d}.png"
    pictures.draw_line(decode(line.row), to=work.report / picture)
    label, text = line.pieces
    return Shown(
        picture=picture,
        source=str(line.row["source"]),
        right=line.right,
        words="right" if line.right else "wrong",
        label=label,
        text=text,
        score=float(line.row["score"]),
    )


def _number(value: object) -> str:
    return f"{value:.4f}" if isinstance(value, int | float) else "–"
