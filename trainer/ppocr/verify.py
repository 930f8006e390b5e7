"""Proves that an exported model reads as the trained one does, through paddle and through paddleocr 3.x.

What fails here is never published. oneDNN is off in all comparisons: its sums differ in the fifth digit,
enough to move a box that stands at a threshold, and that is not the export's fault.
"""

import contextlib
import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np

from trainer.datasets.prepared import Sample
from trainer.errors import GateError
from trainer.ppocr import build, faults, infer, scores, standin_model, start
from trainer.ppocr.paddleocr_reader import Users
from trainer.ppocr.scores import Row
from trainer.system import atomic
from trainer.telemetry.callbacks import OnProgress

MOST: Final[Mapping[str, int]] = {"det": 100, "rec": 500}
"""Samples that are looked at, evenly chosen; three forward passes each, so a few minutes on one core."""
TEXTS: Final = 0.001
"""Share of the lines that may read differently."""
METRIC: Final = 0.001
"""How far the metric through paddleocr may be from the trained model's."""
PIXELS: Final = 1
"""How far a corner may be: paddleocr rounds in double precision, PaddleOCR in single."""


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """An exported model, and what the trained one read with the same weights."""

    config: Mapping[str, Any]
    """The full PaddleOCR configuration of the run."""

    weights: Path
    """The trained weights."""

    inference_dir: Path
    """The exported model."""

    samples: Sequence[Sample]
    """The split that was evaluated."""

    rows: Sequence[Row]
    """What the trained model read, a row for each sample (`predictions.jsonl`)."""

    metrics: Mapping[str, float]
    """The trained model's (`evaluation.json`)."""

    tolerance: float
    """The largest difference allowed between two values of the outputs."""

    device: str = "cpu"
    """`cpu` or `gpu`."""

    progress: OnProgress = lambda done, total: None
    """Gets how far it is."""

    @property
    def task(self) -> str:
        """`det` or `rec`."""
        return str(self.config["Architecture"]["model_type"])


def verify(comparison: Comparison, *, out: Path) -> dict[str, Any]:
    """Compare the exported with the trained model, and write the results.

    Args:
        comparison: the two models.
        out: the file to write, `verification.json`.

    Raises:
        GateError: the export differs; says in which image, where, and by how much.
    """
    samples, rows = comparison.samples, comparison.rows
    if len(samples) != len(rows) or not samples:
        raise GateError(
            f"There are {len(rows)} predictions for {len(samples)} samples, so the evaluation is not of this "
            "split. Run the evaluate stage again."
        )
    read = scores.score_rows(rows, comparison.config)
    _compare_metrics(read, comparison.metrics, allowed=1e-6, who="predictions.jsonl")
    chosen = evenly(len(samples), MOST[comparison.task])
    check = replace(comparison, samples=[samples[n] for n in chosen], rows=[rows[n] for n in chosen])
    facts: dict[str, Any] = {"outputs": {**_compare_outputs(check), "tolerance": check.tolerance}}
    with _scratch() as scratch:
        facts["paddleocr"] = _compare_reading(check)
        facts["pair"] = _load_pair(check, scratch)
    out.parent.mkdir(parents=True, exist_ok=True)
    atomic.write(out, json.dumps(facts, indent=1))
    return facts


def read(check: Comparison) -> dict[str, Any]:
    """Read samples with an export as `verify` does, but compare shapes only: for weights that have learned nothing.

    Returns:
        Facts: the version of paddleocr.

    Raises:
        GateError: the export cannot be read, or gives other shapes than the network, or values that are no numbers.
    """
    _compare_outputs(replace(check, tolerance=float("inf")))
    with _as_gate("Loading the exported model with paddleocr"):
        users = Users(check.inference_dir, check.config, device=check.device)
    for sample in check.samples:
        with _as_gate("Reading with paddleocr"):
            users.read(sample.image)
    with _scratch() as scratch:
        _load_pair(check, scratch)
    return {"paddleocr": users.version}


def evenly(count: int, most: int) -> list[int]:
    """Choose at most `most` of `count` places, evenly: the same ones each time."""
    if count <= most:
        return list(range(count))
    return [place * count // most for place in range(most)]


def _compare_outputs(check: Comparison) -> dict[str, Any]:
    """Compare every value that the trained and the exported network give for each sample."""
    model = build.build_model(dict(check.config))
    start.load_weights(model, check.weights)
    trained = infer.layer_forward(model)
    exported = infer.predictor_forward(check.inference_dir, check.device)
    reader = _reader(check, trained)
    largest = 0.0
    for done, (sample, row) in enumerate(zip(check.samples, check.rows, strict=True), start=1):
        tensor = reader.tensor(infer.read_image(sample.image))
        ours, theirs = trained(tensor), exported(tensor)
        if ours.shape != theirs.shape:
            raise GateError(
                f"{row['image']}: the output of the exported model has shape {theirs.shape}, that of the trained model "
                f"{ours.shape}. Nothing is published."
            )
        difference = float(np.abs(ours - theirs).max())
        if not difference <= check.tolerance:  # also where it is NaN
            raise GateError(
                f"{row['image']}: an output of the exported model differs from the trained model's by "
                f"{difference:.3g}, but the recipe allows {check.tolerance:.3g}. Nothing is published."
            )
        largest = max(largest, difference)
        check.progress(done, 2 * len(check.samples))
    return {"max_difference": largest, "samples": len(check.samples)}


def _reader(check: Comparison, forward: infer.Forward) -> infer.DetReader | infer.RecReader:
    if check.task == "det":
        return infer.DetReader(check.config, forward)
    return infer.RecReader(
        check.config, infer.read_characters(Path(check.config["Global"]["character_dict_path"])), forward
    )


def _compare_reading(check: Comparison) -> dict[str, Any]:
    """Read each sample with paddleocr as a user would, and compare what is read."""
    with _as_gate("Loading the exported model with paddleocr"):
        users = Users(check.inference_dir, check.config, device=check.device)
    rows: list[Row] = []
    different = []
    for sample, trained in zip(check.samples, check.rows, strict=True):
        with _as_gate(f"{trained['image']}: reading it with paddleocr"):
            read = users.read(sample.image)
        said = boxes_differ(trained["boxes"], read["boxes"]) if check.task == "det" else _texts_differ(trained, read)
        if said:
            different.append(f"{trained['image']}: {said}")
        rows.append({**read, "label": trained["label"]})
        check.progress(len(check.samples) + len(rows), 2 * len(check.samples))
    if len(different) > (TEXTS * len(rows) if check.task == "rec" else 0):
        raise GateError(
            f"{different[0]}. paddleocr reads {len(different)} of {len(rows)} samples differently with the exported "
            "model. Nothing is published."
        )
    ours, theirs = scores.score_rows(check.rows, check.config), scores.score_rows(rows, check.config)
    _compare_metrics(theirs, ours, allowed=METRIC, who="the export through paddleocr")
    equal = "texts_equal" if check.task == "rec" else "boxes_equal"
    return {
        "version": users.version,
        "samples": len(rows),
        equal: len(rows) - len(different),
        "metric": theirs,
        "metric_trained": ours,
    }


def boxes_differ(ours: Sequence[Any], theirs: Sequence[Any]) -> str:
    """Return how two readings of a page differ; "" when every corner is within a pixel."""
    if len(ours) != len(theirs):
        return f"the exported model finds {len(theirs)} boxes, the trained model {len(ours)}"
    if not ours:
        return ""
    far = np.abs(np.asarray(ours, np.int64) - np.asarray(theirs, np.int64)).max(axis=(1, 2))
    if far.max() <= PIXELS:
        return ""
    return f"box {int(far.argmax())} differs from the trained model's by {int(far.max())} pixels"


def _texts_differ(ours: Row, theirs: Row) -> str:
    return (
        ""
        if ours["text"] == theirs["text"]
        else f"the exported model reads '{theirs['text']}', the trained model '{ours['text']}'"
    )


def _compare_metrics(found: Mapping[str, float], wanted: Mapping[str, float], *, allowed: float, who: str) -> None:
    for name, value in wanted.items():
        if name in found and not abs(found[name] - value) <= allowed:
            raise GateError(
                f"{name} of {who} is {found[name]:.4f}, but that of the trained model is {value:.4f}. A difference of "
                f"at most {allowed:g} is allowed. Nothing is published."
            )


def _load_pair(check: Comparison, scratch: Path) -> str:
    """Load the model as one of a pair, as applications do, with a stand-in of random weights for the other."""
    other = standin_model.make("rec" if check.task == "det" else "det", scratch)
    det, rec = (check.inference_dir, other) if check.task == "det" else (other, check.inference_dir)
    with _as_gate("Loading the model with PaddleOCR(…)"):
        Users.read_with_pair(det, rec, check.samples[0].image, device=check.device)
    return "loaded"


@contextlib.contextmanager
def _as_gate(what: str) -> Iterator[None]:
    """Turn exceptions of paddleocr into a GateError: users could not read the model. A device's failure is none."""
    try:
        yield
    # paddlex raises bare Exception, AssertionError and KeyError alike.
    except Exception as error:
        if failed := faults.known(error):
            raise failed from error
        raise GateError(f"{what} failed with {type(error).__name__}: {error}. Nothing is published.") from error


@contextlib.contextmanager
def _scratch() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="ocrfleet-verify-") as folder:
        yield Path(folder)
