"""Reads labelled samples and scores what was read, with PaddleOCR's own metrics.

Scores are made of rows, so that evaluation can be sharded: the rows (rec) or the counts (det) of all
ranks, put together, give what one process would give.
"""

import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from trainer import matching
from trainer.datasets import Sample
from trainer.ppocr import tree
from trainer.ppocr.infer import DetReader, RecReader, det_size, read_image

Row = dict[str, Any]
"""A line of predictions.jsonl."""
Counts = Mapping[str, Any]
"""Boxes labelled, found and matched in one page: `gtCare`, `detCare`, `detMatched`."""
Progress = Callable[[int, int], None]
"""Called with the samples done and their number."""

CHUNK: Final = 128
"""Lines held in memory at once."""


def read_samples(
    reader: DetReader | RecReader, samples: Sequence[Sample], *, root: Path, progress: Progress | None = None
) -> list[Row]:
    """Read samples and give the rows of predictions.jsonl, in the samples' order.

    Args:
        reader: a detector's or a recogniser's reader.
        samples: what to read.
        root: the prepared folder, to which `image` is relative.
        progress: told after each page, or each chunk of lines.

    Raises:
        DatasetError: an image cannot be read.
    """
    tell = progress or (lambda done, total: None)
    if isinstance(reader, DetReader):
        return _read_pages(reader, samples, root=root, tell=tell)
    # Lines of like shape side by side, so that they fall into one batch.
    order = sorted(range(len(samples)), key=lambda place: samples[place].width / samples[place].height)
    rows: dict[int, Row] = {}
    for start in range(0, len(order), CHUNK):
        places = order[start : start + CHUNK]
        results = reader.read([read_image(samples[place].image) for place in places])
        for place, (text, score) in zip(places, results, strict=True):
            sample = samples[place]
            rows[place] = {**_origin(sample, root), "label": sample.label, "text": text, "score": score}
        tell(len(rows), len(samples))
    return [rows[place] for place in range(len(samples))]


def _read_pages(reader: DetReader, samples: Sequence[Sample], *, root: Path, tell: Progress) -> list[Row]:
    rows = []
    for sample in samples:
        image = read_image(sample.image)
        boxes, scores = reader.read(image)
        height, width = image.shape[:2]
        seen_height, seen_width = det_size(reader.settings, height, width)
        # How much of a line the network sees is what decides whether it can be found.
        scale = [seen_width / width, seen_height / height]
        label = json.loads(sample.label)
        rows.append(
            {**_origin(sample, root), "label": label, "boxes": boxes.tolist(), "scores": scores, "scale": scale}
        )
        tell(len(rows), len(samples))
    return rows


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
    """Give precision, recall and hmean over pages, from `det_counts` of each."""
    tree.on_path()
    from ppocr.metrics.eval_det_iou import DetectionIoUEvaluator

    return {name: float(value) for name, value in DetectionIoUEvaluator().combine_results(list(counts)).items()}


def score_rec(pairs: Iterable[tuple[str, str]], metric: Mapping[str, Any] | None = None) -> dict[str, float]:
    """Give acc and norm_edit_dis over lines.

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
    """Give the metrics of rows of predictions.jsonl; the configuration says of which task they are."""
    if config["Architecture"]["model_type"] == "det":
        return score_det([det_counts(row) for row in rows])
    return score_rec(((row["text"], row["label"]) for row in rows), config.get("Metric"))
