"""The training set of a run: the samples that can be learned, and their order."""

import logging
import math
from collections.abc import Sequence
from typing import Any

import paddle

from trainer.datasets.prepared import Sample, no_batch
from trainer.ppocr import infer, settings
from trainer.ppocr.data import Refused, TrainingSet, screen
from trainer.ppocr.distill import Networks
from trainer.ppocr.job import Job
from trainer.ppocr.order import Order
from trainer.recipes import distill
from trainer.recipes.samplers import resize_of

log = logging.getLogger(__name__)


def training_set(job: Job, model: paddle.nn.Layer, samples: list[Sample]) -> tuple[TrainingSet, Order, Refused]:
    """Return the training set of the samples that can be learned, its order, and the refused samples.

    Raises:
        DatasetError: the samples that can be learned do not fill one batch.
    """
    config = job.config
    loader, sampler = config["Train"]["loader"], config["Train"].get("sampler")
    refused: Refused = {}
    widths: list[int] | None = None

    def of(samples: Sequence[Sample]) -> TrainingSet:
        return TrainingSet(samples, config, seed=job.run.train.seed, max_pixels=job.run.data.max_pixels)

    if job.run.task == "rec":
        height, least = _line_size(config)

        def width(sample: Sample) -> int:
            if not sampler:
                return least
            step, most = sampler["divided_factor"], sampler["max_w"]
            needed = max(least, math.ceil(height * sample.width / sample.height))
            return int(min(math.ceil(needed / step) * step, most))

        if isinstance(model, Networks):
            model = model.of(distill.learners(config)[0])
        columns = infer.columns(model, height=height, width=least)
        samples, refused = screen(
            samples, takes=of([]).takes_label, places=lambda sample: columns * width(sample) // least
        )
        widths = [width(sample) for sample in samples] if sampler else None
    order = Order(
        count=len(samples),
        batch=loader["batch_size_per_card"],
        world=job.world,
        seed=job.run.train.seed,
        drop_last=loader.get("drop_last", False),
        widths=widths,
    )
    if order.steps == 0:
        raise no_batch(samples=len(samples), batch=loader["batch_size_per_card"], devices=job.world)
    dataset = of(samples)
    log.info("Samples are read by %s.", dataset.reading)
    return dataset, order, refused


def _line_size(config: dict[str, Any]) -> tuple[int, int]:
    """Return the height and the least width of a line during training."""
    resize = resize_of(config["Train"]["dataset"]["transforms"])
    _, height, width = resize["image_shape"] if resize else settings.rec_settings(config).image_shape
    return int(height), int(width)
