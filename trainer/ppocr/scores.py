"""Reads labelled samples and scores what was read, with PaddleOCR's own metrics.

Scores are made of rows, so that evaluation can be sharded: the rows (rec) or the counts (det) of all
ranks, put together, give what one process would give.
"""

import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from trainer.datasets.prepared import Sample
from trainer.evaluation import matching
from trainer.ppocr import tree
from trainer.ppocr.infer import DetReader, RecReader, det_size, read_image
from trainer.telemetry.callbacks import OnProgress

Row = dict[str, Any]
"""A line of predictions.jsonl."""
Counts = Mapping[str, Any]
"""Boxes labelled, found and matched in one page: `gtCare`, `detCare`, `detMatched`."""
CHUNK: Final = 128
"""Lines held in memory at once."""


def read_samples(
    reader: DetReader | RecReader, samples: Sequence[Sample], *, root: Path, progress: OnProgress | None = None
) -> list[Row]:
    """Read samples with one network, see `read_by_each`."""
    return read_by_each({"": reader}, samples, root=root, progress=progress)[""]


def read_by_each(
    readers: Mapping[str, DetReader | RecReader],
    samples: Sequence[Sample],
    *,
    root: Path,
    progress: OnProgress | None = None,
) -> dict[str, list[Row]]:
    """Read samples with several networks in one pass; return each one's rows of predictions.jsonl in their order.

    Args:
        readers: of detectors, or of recognisers, by name.
        samples: what to read; an image is decoded once for all.
        root: the prepared folder, to which `image` is relative.
        progress: told after each page, or each chunk of lines.

    Raises:
        DatasetError: an image cannot be read.
    """
    tell = progress or (lambda done, total: None)
    rows: dict[str, dict[int, Row]] = {name: {} for name in readers}
    done = 0
    for places in _parts(samples, pages=any(isinstance(reader, DetReader) for reader in readers.values())):
        images = [read_image(samples[place].image) for place in places]
        for name, reader in readers.items():
            read = _read_page if isinstance(reader, DetReader) else _read_lines
            found = read(reader, images)  # type: ignore[arg-type]
            for place, row in zip(places, found, strict=True):
                rows[name][place] = {**_origin(samples[place], root), "label": _label(samples[place], reader), **row}
        done += len(places)
        tell(done, len(samples))
    return {name: [of_one[place] for place in range(len(samples))] for name, of_one in rows.items()}


def _parts(samples: Sequence[Sample], *, pages: bool) -> Iterator[list[int]]:
    """Yield the places of samples that are read at once."""
    if pages:
        yield from ([place] for place in range(len(samples)))
        return
    # Lines of like shape side by side, so that they fall into one batch.
    order = sorted(range(len(samples)), key=lambda place: samples[place].width / samples[place].height)
    for start in range(0, len(order), CHUNK):
        yield order[start : start + CHUNK]


def _read_lines(reader: RecReader, lines: Sequence[Any]) -> list[Row]:
    return [{"text": text, "score": score} for text, score in reader.read(lines)]


def _read_page(reader: DetReader, pages: Sequence[Any]) -> list[Row]:
    (image,) = pages
    boxes, scores = reader.read(image)
    height, width = image.shape[:2]
    seen_height, seen_width = det_size(reader.settings, height, width)
    # How much of a line the network sees is what decides whether it can be found.
    return [{"boxes": boxes.tolist(), "scores": scores, "scale": [seen_width / width, seen_height / height]}]


def _label(sample: Sample, reader: DetReader | RecReader) -> Any:
    return json.loads(sample.label) if isinstance(reader, DetReader) else sample.label


def _origin(sample: Sample, root: Path) -> Row:
    return {"image": Path(os.path.relpath(sample.image, root)).as_posix(), "source": sample.source}


def det_counts(row: Row) -> Counts:
    """Count what was found in a page, as PaddleOCR's evaluator does at an overlap of one half."""
    found = matching.match(row)
    return {
        "gtCare": len(found.pairs) + len(found.missed),
        "detCare": len(found.pairs) + len(found.false),
        "detMatched": len(found.pairs),
    }


def score_det(counts: Iterable[Counts]) -> dict[str, float]:
    """Return precision, recall and hmean over pages, from `det_counts` of each."""
    tree.on_path()
    from ppocr.metrics.eval_det_iou import DetectionIoUEvaluator

    return {name: float(value) for name, value in DetectionIoUEvaluator().combine_results(list(counts)).items()}


def score_rec(pairs: Iterable[tuple[str, str]], metric: Mapping[str, Any] | None = None) -> dict[str, float]:
    """Return acc and norm_edit_dis over lines.

    Args:
        pairs: text and label of each line.
        metric: the configuration's `Metric`; its `ignore_space` and `is_filter` decide what is compared.
            PaddleOCR ignores spaces unless told otherwise.
    """
    tree.on_path()
    from ppocr.metrics.rec_metric import RecMetric

    judge = RecMetric(**{key: value for key, value in (metric or {}).items() if key != "name"})
    compared = list(pairs)
    judge(([(text, 1.0) for text, _ in compared], [(label, 1.0) for _, label in compared]))
    return {name: float(value) for name, value in judge.get_metric().items()}


def score_rows(rows: Iterable[Row], config: Mapping[str, Any]) -> dict[str, float]:
    """Return the metrics of rows of predictions.jsonl; the configuration says of which task they are."""
    if config["Architecture"]["model_type"] == "det":
        return score_det([det_counts(row) for row in rows])
    return score_rec(((row["text"], row["label"]) for row in rows), config.get("Metric"))
