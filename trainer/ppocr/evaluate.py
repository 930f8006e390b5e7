"""Evaluation sharded over the ranks: each sample read once, results put together in the split's order."""

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import paddle

from trainer.datasets.prepared import Sample
from trainer.ppocr import collective, infer, scores
from trainer.ppocr.distill import Networks
from trainer.ppocr.job import Job
from trainer.recipes import distill
from trainer.telemetry.events import Progressed

Row = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Reading:
    """What one network reads; the same on each rank."""

    metrics: dict[str, float]
    """By PaddleOCR's names."""

    rows: list[Row]
    """One a sample, in their order (`predictions.jsonl`)."""

    seconds: float
    """An image, in the network alone."""


def evaluate(job: Job, model: paddle.nn.Layer, *, samples: Sequence[Sample]) -> dict[str, Reading]:
    """Read samples with the model as it is, on all ranks.

    Args:
        job: whose dataset and configuration.
        model: its weights and statistics must be the same on every rank.
        samples: the same on every rank.

    Returns:
        What each network reads, by its name ("" where there is one only).
    """
    own = list(range(job.rank, len(samples), job.world))

    def tell(done: int, total: int) -> None:
        job.events.send(Progressed(what="evaluate", done=done, total=total, unit="images"))

    training = model.training
    model.eval()
    models = dict(model.named_children()) if isinstance(model, Networks) else {"": model}
    configs = {name: distill.plain(job.config, name) if name else job.config for name in models}
    clocks = {name: _Clock(infer.layer_forward(layer)) for name, layer in models.items()}
    readers = {name: _reader(job, configs[name], clock) for name, clock in clocks.items()}
    found = scores.read_by_each(readers, [samples[i] for i in own], root=job.prepared.root, progress=tell)
    if training:
        model.train()
    taken = collective.gather({name: clock.seconds for name, clock in clocks.items()})
    result = {}
    for name, part in found.items():
        rows = _in_order(own, part)
        result[name] = Reading(
            metrics=scores.score_rows(rows, configs[name]),
            rows=rows,
            seconds=sum(each[name] for each in taken) / max(len(rows), 1),
        )
    return result


_TRAINING_ONLY: Final = ("head.sar_head.", "head.gtc_head.", "head.before_gtc.", "head.thresh.")
"""Parts of PaddleOCR's heads that no export has."""


def about(model: Networks, found: Mapping[str, Reading]) -> dict[str, dict[str, Any]]:
    """Return the facts of each network: the parameters it reads with, what it reads, and the seconds an image."""
    return {
        name: {
            "parameters": sum(
                math.prod(value.shape)
                for parameter, value in model.of(name).named_parameters()
                if not parameter.startswith(_TRAINING_ONLY)
            ),
            "frozen": name in model.frozen,
            "metrics": read.metrics,
            "seconds_per_image": read.seconds,
        }
        for name, read in found.items()
    }


class _Clock:
    """A network, and how long it has computed."""

    def __init__(self, forward: infer.Forward) -> None:
        self._forward, self.seconds = forward, 0.0

    def __call__(self, batch: infer.Tensor) -> infer.Tensor:
        began = time.perf_counter()
        output = self._forward(batch)
        self.seconds += time.perf_counter() - began
        return output


def _reader(job: Job, config: Mapping[str, Any], forward: infer.Forward) -> Any:
    if job.run.task == "det":
        return infer.DetReader(config, forward)
    return infer.RecReader(config, infer.read_characters(job.prepared.dictionary), forward)


def _in_order(own: list[int], rows: list[Row]) -> list[Row]:
    """Put the rows of all ranks together."""
    gathered = [pair for part in collective.gather(list(zip(own, rows, strict=True))) for pair in part]
    return [row for _, row in sorted(gathered, key=lambda pair: pair[0])]
