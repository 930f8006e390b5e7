"""Evaluation on several ranks gives the numbers and the rows of one, also where the samples do not divide."""

import dataclasses
import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import yaml

from jobs.local.plan import free_ports
from tests.e2e.test_training import a_run
from trainer.datasets.prepared import Prepared, Sample
from trainer.node.supervisor import Supervisor
from trainer.run.assignment import DeadlineSeconds
from trainer.run.topology import Topology
from trainer.run.workdir import WorkDir

pytestmark = [pytest.mark.paddle, pytest.mark.filterwarnings("ignore"), pytest.mark.timeout(240)]

SAMPLES = {"rec": 37, "det": 5}
OVERRIDES = {"rec": {}, "det": {"PostProcess.thresh": 0.5, "PostProcess.box_thresh": 0.5}}
"""Half the pixels are above this in the map of an untrained detector; few boxes reach the recipe's own."""


@pytest.fixture(scope="module", params=["rec", "det"])
def work(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> WorkDir:
    """A run whose model was never trained, but reads half of its samples right: they are labelled as it reads."""
    task: str = request.param
    made = a_run(tmp_path_factory.mktemp(task), task, overrides=OVERRIDES[task])
    prepared = Prepared.load(made.prepared)
    samples = [sample for split in ("train", "eval", "test") for sample in prepared.samples(split)][: SAMPLES[task]]
    rows = write_weights(made, samples)
    for place in range(1, len(samples), 2):
        samples[place] = labelled_as(rows[place], samples[place])
    save(made, samples)
    return made


def write_weights(work: WorkDir, samples: Sequence[Sample]) -> list[dict[str, Any]]:
    """Write the weights of a model whose output depends on what it sees; give what it reads."""
    import paddle

    from trainer.ppocr import build, infer, scores, state, tree

    tree.on_path()
    paddle.seed(2)
    config = yaml.safe_load(work.configuration.read_text("utf-8"))
    model = build.build_model(config)
    forward = infer.layer_forward(model)
    reader: infer.DetReader | infer.RecReader
    if config["Architecture"]["model_type"] == "det":
        reader = infer.DetReader(config, forward)
        tensors = [reader.tensor(infer.read_image(sample.image)) for sample in samples]
        settle(model, tensors)
    else:
        reader = infer.RecReader(config, infer.read_characters(work.prepared / "dictionary.txt"), forward)
        tensors = [reader.tensor(infer.read_image(sample.image)) for sample in samples]
        settle(model, tensors)
        spread(model.head.fc, read=lambda: [forward(tensor) for tensor in tensors])
    state.write_weights(state.weights(model), work.best_weights)
    return scores.read_samples(reader, samples, root=work.prepared)


def settle(model: Any, tensors: Sequence[Any]) -> None:
    """Take BatchNorm's statistics from images: with those of the start all look alike to the last layer."""
    import paddle

    width = min(tensor.shape[3] for tensor in tensors)
    batch = paddle.to_tensor(np.concatenate([tensor[..., :width] for tensor in tensors]))
    for layer in model.sublayers():
        if hasattr(layer, "_momentum"):
            layer._momentum = 0.0  # the statistics of this one batch, and nothing of before
    model.train()
    with paddle.no_grad():
        model(batch)


def spread(layer: Any, *, read: Any) -> None:
    """Scale a last layer so that each of its classes is likely somewhere in the images."""
    outputs: list[Any] = []
    hook = layer.register_forward_post_hook(lambda _, inputs, output: outputs.append(output.numpy()[0]))
    read()
    hook.remove()
    seen = np.concatenate(outputs)
    layer.weight.set_value(layer.weight / seen.std(0) * 3)
    layer.bias.set_value((layer.bias - seen.mean(0)) / seen.std(0) * 3)


def labelled_as(row: dict[str, Any], sample: Sample) -> Sample:
    """Label a sample with what was read in it."""
    if "text" in row:
        return dataclasses.replace(sample, label=row["text"])
    lines = [{"transcription": "x", "points": box, "difficult": False} for box in row["boxes"]]
    return dataclasses.replace(sample, label=json.dumps(lines))


def save(work: WorkDir, samples: Sequence[Sample]) -> None:
    """Make these the test split."""
    prepared = Prepared.load(work.prepared)
    counts = {**prepared.counts, "test": len(samples)}
    dataclasses.replace(prepared, counts=counts).save({"test": samples})


def evaluate(work: WorkDir, *, world: int) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Evaluate on `world` workers; give evaluation.json and the rows of predictions.jsonl."""
    topology = Topology(devices_per_node=world, port=free_ports(world + 1))
    supervisor = Supervisor(topology, deadlines=DeadlineSeconds(rendezvous=60, stall=60), hear=lambda event: None)
    log = work.root / "logs" / f"{world}"
    supervisor.run("evaluate", workdir=work.root, log=lambda rank: log / f"{rank}.log")
    rows = [json.loads(line) for line in work.predictions.read_text("utf-8").split("\n") if line]
    return json.loads(work.evaluation_facts.read_text("utf-8")), rows


def near(row: dict[str, Any]) -> dict[str, Any]:
    """Allow confidences, and nothing else, the last digits."""
    return {key: pytest.approx(value, abs=1e-6) if key in ("score", "scores") else value for key, value in row.items()}


def test_two_ranks_give_the_numbers_and_the_rows_of_one(work: WorkDir) -> None:
    alone, rows = evaluate(work, world=1)
    shared, shared_rows = evaluate(work, world=2)
    assert all(0.1 < value < 0.9 for value in alone["metrics"].values()), "only then equality says anything"
    assert len({json.dumps(row.get("text", row.get("boxes"))) for row in rows}) > len(rows) / 2
    assert [row["source"] for row in rows] == [sample.source for sample in Prepared.load(work.prepared).samples("test")]
    assert shared_rows == [near(row) for row in rows]
    assert shared["metrics"] == pytest.approx(alone["metrics"], abs=1e-6)
    assert shared["samples"] == alone["samples"] == len(rows)
    assert shared["analysis"]["by_length"] == alone["analysis"]["by_length"]
    assert shared["analysis"]["worst"] == [near(row) for row in alone["analysis"]["worst"]]


def test_a_rank_without_samples_agrees_with_those_that_have_some(work: WorkDir) -> None:
    samples = Prepared.load(work.prepared).samples("test")
    save(work, samples[:2])
    alone, rows = evaluate(work, world=1)
    shared, shared_rows = evaluate(work, world=3)
    save(work, samples)
    assert len(rows) == 2
    assert shared_rows == [near(row) for row in rows]
    assert shared["metrics"] == pytest.approx(alone["metrics"], abs=1e-6)
