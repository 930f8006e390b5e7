"""Evaluation sharded over the ranks: each sample read once, results put together in the split's order."""

from typing import Any

import paddle

from trainer.ppocr import collective, infer, scores
from trainer.ppocr.job import Job

Row = dict[str, Any]


def evaluate(job: Job, model: paddle.nn.Layer, *, split: str) -> tuple[dict[str, float], list[Row]]:
    """Read a split with the model as it is, on all ranks.

    Args:
        job: whose dataset and configuration.
        model: its weights and statistics must be the same on every rank.
        split: `eval` or `test`.

    Returns:
        The metrics, and one row a sample in the split's order (`predictions.jsonl`); the same on each rank.
    """
    samples = job.prepared.samples(split)
    own = list(range(job.rank, len(samples), job.world))

    def tell(done: int, total: int) -> None:
        job.events.send("progress", what="evaluate", done=done, total=total, unit="images")

    training = model.training
    model.eval()
    forward = infer.layer_forward(model)
    reader: infer.DetReader | infer.RecReader
    if job.run.task == "det":
        reader = infer.DetReader(job.config, forward)
    else:
        reader = infer.RecReader(job.config, infer.read_characters(job.prepared.dictionary), forward)
    rows = scores.read_samples(reader, [samples[i] for i in own], root=job.prepared.root, progress=tell)
    if training:
        model.train()
    gathered = [pair for part in collective.gather(list(zip(own, rows, strict=True))) for pair in part]
    ordered = [row for _, row in sorted(gathered, key=lambda pair: pair[0])]
    return scores.score_rows(ordered, job.config), ordered
