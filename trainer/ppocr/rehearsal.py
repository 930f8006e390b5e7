"""A run in small, before it trains: each part of PaddleOCR that it will need, on a few of its own samples.

The weights are random, so nothing is said about quality: it is about shapes, and that nothing breaks. What breaks is
reported as the part of the configuration that it comes from. A second process reads the export, as users would.
"""

import contextlib
import json
import logging
import random
import re
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import paddle

from trainer import recipes
from trainer.datasets.packed import Packed
from trainer.datasets.prepared import Sample
from trainer.errors import DatasetError, GateError, OcrfleetError, SpecError, StoppedError
from trainer.formats.canonical_json import canonical
from trainer.ppocr import build, data, evaluate, export, infer, readers, settings, state, train_step, verify
from trainer.ppocr.distill import Networks
from trainer.ppocr.forecast import Measured, forecast
from trainer.ppocr.job import Job
from trainer.ppocr.order import Order
from trainer.ppocr.training_set import training_set
from trainer.recipes import distill
from trainer.run.topology import Topology
from trainer.system import disk, memory
from trainer.system.cpu import cores

log = logging.getLogger(__name__)


SAMPLES: Final = 16
"""The most samples that are read. A larger batch has them several times on a GPU; on CPU it is extrapolated."""

ON_CPU: Final[Mapping[str, int]] = {"det": 2, "rec": 4}
"""Samples of a step on CPU, where a step takes as long as its samples: this bounds what the rehearsal costs."""

STEPS: Final = 2
"""The first also allocates, and makes the optimizer's state; the second is like all that follow."""


def rehearse(job: Job) -> dict[str, Any]:
    """Build, train two steps, evaluate the largest sample and export.

    Returns:
        What the run will need, see `forecast`.

    Raises:
        SpecError: a part of the configuration does not work; names it.
        DatasetError: the samples cannot be used.
    """
    _seed(job.run.train.seed)
    rehearsal = _Rehearsal(job)
    measured = rehearsal.train()
    measured = replace(measured, evaluation_seconds=rehearsal.evaluate())
    rehearsal.export()
    if distill.is_distillation(job.config) and job.config["Plain"]["epoch_num"]:
        # Afterwards the picked network is trained alone, with another loss and perhaps other operators.
        picked = next(iter(published(job.config, job.run.distill.publish)))
        _Rehearsal(replace(job, config=distill.plain(job.config, picked))).train()
    measured = replace(
        measured,
        host_memory_bytes=max(measured.host_memory_bytes, memory.peak()),
        device_memory_bytes=int(paddle.device.cuda.max_memory_allocated()) if job.device == "gpu" else None,
    )
    every, devices = job.run.train.evaluate_every, Topology.from_environment().devices_per_node
    return forecast(measured, evaluate_every=every, readers=readers.asked(job), cores=cores() // devices)


def reread(job: Job) -> dict[str, Any]:
    """Read the exports of `rehearse` with paddle and with paddleocr 3.x, in a process that has never seen the network.

    Raises:
        SpecError: an export cannot be read, or gives other shapes than the network.
    """
    told = json.loads(job.work.rehearsed.read_text("utf-8"))
    facts: dict[str, Any] = {}
    for name, rows in told["networks"].items():
        config = distill.plain(job.config, name) if name else job.config
        comparison = verify.Comparison(
            config=config,
            weights=job.work.rehearsed_weights(name),
            inference_dir=job.work.rehearsed_export(name),
            samples=[Sample(**{**each, "image": Path(each["image"])}) for each in told["samples"]],
            rows=rows,
            metrics={},
            tolerance=float("inf"),
            device=job.device,
        )
        with _part(job, f"reading the export ({_architecture(config)})"):
            facts = verify.read(comparison)
    return facts


class _Rehearsal:
    """What the parts share."""

    def __init__(self, job: Job) -> None:
        """Build the networks and the training set."""
        self.job, config = job, job.config
        with _part(job, f"building the network ({_architecture(config)})"):
            self.model = build.build_model(config)
        with _part(job, "making the operators of Train.dataset.transforms"):
            data.TrainingSet([], config, seed=0)
        samples = job.prepared.samples("train")
        if job.run.task == "rec":
            with _part(job, f"reading a line with the network ({_architecture(config)})"):
                self._read_a_line()
        with _part(job, f"the label encoder of Train.dataset.transforms ({_encoder(config)})"):
            self.dataset, self.order, _ = training_set(job, self.model, samples)

    def _read_a_line(self) -> None:
        """Check that the network gives places × characters, for a line of any width."""
        of = self.model.of(distill.learners(self.job.config)[0]) if isinstance(self.model, Networks) else self.model
        config = self.job.config
        how = settings.rec_settings(config)
        _, height, width = how.image_shape
        output = infer.layer_forward(of)(np.zeros((1, 3, height, width), np.float32))
        characters = len(infer.read_characters(self.job.prepared.dictionary)) + 2
        if output.ndim != 3 or output.shape[2] != characters:
            raise SpecError(
                f"The network gives {'×'.join(map(str, output.shape))} values for a line, but PostProcess.name "
                f"CTCLabelDecode wants places × {characters} characters (with the space and the blank). Use a head "
                "for CTC."
            )

    def train(self) -> Measured:
        """Make two steps on the widest batch."""
        job, order = self.job, self._order()
        with _part(job, f"building the loss ({_named(job.config, 'Loss')})"):
            build.build_loss(job.config)
        with _part(job, f"building the optimizer ({_named(job.config, 'Optimizer')})"):
            step = train_step.TrainStep(job, self.model, steps_per_epoch=order.steps)
        batch, read_seconds = self._batch(order)
        before = memory.resident()
        seconds = 0.0
        for _ in range(STEPS):
            began = time.perf_counter()
            with _part(job, f"a training step ({_architecture(job.config)}; {_named(job.config, 'Loss')})"):
                losses = step(batch)
                values = train_step.read_losses([losses["loss"]])
            seconds = time.perf_counter() - began
            if not np.isfinite(values).all():
                raise SpecError(
                    f"The loss of {_named(job.config, 'Loss')} is not a finite number in the first {STEPS} steps. "
                    "Lower the learning rate, or check Loss and Architecture against PaddleOCR's own configurations."
                )
        measured, full = int(batch[0].shape[0]), order.batch
        weights, whole = _bytes(self.model.state_dict()), _bytes(step.optimizer.state_dict())
        # What the optimizer keeps and the gradients do not grow with the batch.
        grows = max(0, memory.peak() - before - whole - weights)
        return Measured(
            batch=full,
            measured=min(measured, full),
            step_seconds=seconds * full / measured,
            read_seconds=read_seconds,
            share=_share(order),
            steps_per_epoch=order.steps,
            epochs=job.epochs + int((job.config.get("Plain") or {}).get("epoch_num", 0)),
            evaluation_seconds=0.0,
            host_memory_bytes=int(memory.peak() + grows * (full / measured - 1)),
            # The newest state, and the best weights so far.
            checkpoint_bytes=2 * weights + whole,
        )

    def _order(self) -> Order:
        """Return the order of the run's own gang: here is only one of its devices."""
        return replace(self.order, world=Topology.from_environment().world_size)

    def _batch(self, order: Order) -> tuple[list[data.Array], float]:
        """Read the widest samples; return a batch of them, and the seconds that one took."""
        job = self.job
        size = order.batch if job.device == "gpu" else min(order.batch, ON_CPU[job.run.task])
        widths = order.widths or [0] * order.count
        widest = sorted(range(order.count), key=lambda index: -widths[index])[: min(size, SAMPLES)]
        self.dataset.samples = Packed([self.dataset.samples[index] for index in widest])
        began = time.perf_counter()
        with _part(job, "reading samples (Train.dataset.transforms)"):
            made = [self.dataset[1, place, max(widths)][1] for place in range(len(widest))]
            seconds = (time.perf_counter() - began) / len(widest)
            usable = [arrays for arrays in made if arrays is not None]
            if not usable:
                raise self._unusable()
            chosen = [usable[place % len(usable)] for place in range(size)]
            arrays = [np.stack(parts) for parts in zip(*chosen, strict=True)]
        return arrays, seconds

    def _unusable(self) -> SpecError | DatasetError:
        """Return the error for samples of which none can be used: the operator that fails, or drops all."""
        reached: list[str] = []
        self.dataset.operators = [
            _Noting(name, operator, reached)
            for name, operator in zip(_names(self.job.config), self.dataset.operators, strict=True)
        ]
        refused, _ = self.dataset[1, 0, 0]
        source, reason = next(iter(refused.items()))
        last = reached[-1] if reached else ""
        dropped = "dropped" in reason
        if not last or (dropped and last.endswith("LabelEncode")):
            return DatasetError(
                f"No sample that was tried can be used. One of them is {source}: {reason}. Run `ocrfleet data "
                "check` on the dataset."
            )
        said = f"it drops every sample that was tried, such as {source}." if dropped else f"{reason.rstrip('.')}."
        return SpecError(_failed(f"the operator {last} (Train.dataset.transforms)", said))

    def evaluate(self) -> float:
        """Read the largest page or line; return the seconds of the whole evaluation split."""
        job, samples = self.job, self.job.prepared.samples(self.job.split("eval"))
        with _part(job, f"the settings for reading (Eval.dataset.transforms, {_named(job.config, 'PostProcess')})"):
            sizes = [_size(job.config, sample) for sample in samples]
        largest = samples[max(range(len(samples)), key=sizes.__getitem__)]
        said = f"reading the largest of the evaluation samples ({largest.width} × {largest.height} pixels; "
        began = time.perf_counter()
        with _part(job, f"{said}{_named(job.config, 'PostProcess')}; {_named(job.config, 'Metric')})"):
            readings = evaluate.evaluate(job, self.model, samples=[largest])
        seconds = (time.perf_counter() - began) * sum(sizes) / max(sizes)
        self._read = {name: reading.rows for name, reading in readings.items()}
        self._largest = largest
        return seconds / Topology.from_environment().world_size

    def export(self) -> None:
        """Export each kind of network that may be published, and note what the second process needs."""
        job, networks = self.job, {}
        for name, config in published(job.config, job.run.distill.publish).items():
            model = self.model.of(name) if isinstance(self.model, Networks) else self.model
            with _part(job, f"the export ({_architecture(config)})"):
                state.write_weights(state.weights(model), job.work.rehearsed_weights(name))
                label = recipes.resolve(job.run, job.prepared).model_name
                export.export_layer(model, config, job.work.rehearsed_export(name), model_name=label)
            networks[name] = self._read[name]
        samples = [{**asdict(self._largest), "image": str(self._largest.image)}]
        job.work.rehearsed.write_text(json.dumps({"samples": samples, "networks": networks}), "utf-8")


@dataclass(frozen=True)
class _Noting:
    """An operator that notes that it was reached."""

    name: str
    operator: Callable[[Any], Any]
    reached: list[str]

    def __call__(self, made: Any) -> Any:
        self.reached.append(self.name)
        return self.operator(made)


def published(config: Mapping[str, Any], wanted: str | None) -> dict[str, Mapping[str, Any]]:
    """Return the networks that may be published, of equal ones the first, with their configurations.

    Args:
        config: of the run.
        wanted: `run.distill.publish`.

    Returns:
        By name; "" is the only network of a run without distillation.
    """
    if not distill.is_distillation(config):
        return {"": config}
    names = [wanted] if wanted else distill.learners(config)
    found = {name: distill.plain(config, name) for name in names}
    first = {canonical(alone["Architecture"]): name for name, alone in reversed(found.items())}
    return {name: alone for name, alone in found.items() if name in first.values()}


def _size(config: Mapping[str, Any], sample: Sample) -> int:
    """Return the pixels of what the network gets of a sample."""
    if config["Architecture"]["model_type"] == "det":
        height, width = infer.det_size(settings.det_settings(config), sample.height, sample.width)
    else:
        height, _, width = infer.rec_size(settings.rec_settings(config), sample.height, sample.width)
    return height * width


def _share(order: Order) -> float:
    """Return the mean width of an epoch's batches, as a share of the widest."""
    if order.widths is None:
        return 1.0
    widths = [max(order.widths[index] for index in batch) for batch in order.epoch(1)]
    return float(np.mean(widths)) / max(order.widths)


def _bytes(tensors: Mapping[str, Any]) -> int:
    return sum(int(t.size) * int(t.element_size()) for t in tensors.values() if isinstance(t, paddle.Tensor))


def _seed(seed: int) -> None:
    paddle.seed(seed)
    random.seed(seed)
    np.random.seed(seed)


@contextlib.contextmanager
def _part(job: Job, what: str) -> Iterator[None]:
    """Try a part of PaddleOCR; an error of it becomes a sentence that names the part.

    Raises:
        SpecError: it fails, whatever its error is.
    """
    if job.stopping():
        raise StoppedError("Stopped in the rehearsal, which the next start repeats.")
    log.info("Rehearsing %s.", what)
    job.work.rehearsed_part.parent.mkdir(exist_ok=True)
    job.work.rehearsed_part.write_text(what, "utf-8")
    try:
        yield
    except (SpecError, DatasetError):
        raise
    except OcrfleetError as error:
        if not isinstance(error, GateError) and type(error) is not OcrfleetError:
            raise
        raise SpecError(_failed(what, str(error))) from error
    # PaddleOCR asserts, raises Exception, and ends the process where it does not like its input.
    except (Exception, SystemExit) as error:
        if isinstance(error, OSError) and disk.no_space(error, job.work.root):
            raise
        traceback.print_exc()
        said = in_short(error)
        if isinstance(error, MemoryError) or "Out of memory" in said or "out of memory" in said:
            raise SpecError(
                f"Memory ran out in {what}: {said} Lower run.train.batchSizePerDevice "
                f"({job.config['Train']['loader']['batch_size_per_card']}), or use a device with more memory."
            ) from error
        raise SpecError(_failed(what, said)) from error


def _failed(what: str, said: str) -> str:
    return (
        f"The rehearsal failed in {what}: {said} Training was not started. Change this part of the configuration, or "
        "choose a recipe (`ocrfleet recipes` lists them)."
    )


_SUMMARY: Final = re.compile(r"Error Message Summary:\s*-+\s*(.+)", re.DOTALL)
"""Where paddle says what happened, below a stack of C++."""

_LONGEST: Final = 300


def in_short(error: BaseException) -> str:
    """Return an error's kind and its sentence."""
    kind = type(error).__name__
    found = _SUMMARY.search(str(error))
    lines = [line.strip() for line in (found[1] if found else str(error)).splitlines() if line.strip()]
    # An error of an export has the whole trace of the code that paddle wrote, and itself at the end.
    line = lines[-1 if lines[0].startswith("In transformed code") else 0] if lines else "no reason given"
    return f"{kind}: {line.removeprefix(f'{kind}: ')[:_LONGEST].rstrip('.')}."


def _architecture(config: Mapping[str, Any]) -> str:
    """Name the parts of a network: `Architecture SVTR: SVTRNet, SequenceEncoder, CTCHead`."""
    architecture = config["Architecture"]
    networks = (architecture.get("Models") or {"": architecture}).values()
    parts = [
        str(part["name"])
        for network in networks
        for kind in ("Transform", "Backbone", "Neck", "Head")
        if isinstance(part := network.get(kind), Mapping) and part.get("name")
    ]
    named = f" {architecture['algorithm']}" if architecture.get("algorithm") else ""
    return f"Architecture{named}: {', '.join(dict.fromkeys(parts))}"


def _named(config: Mapping[str, Any], section: str) -> str:
    name = config[section].get("name")
    return f"{section}.name {name}" if name else section


def _names(config: Mapping[str, Any]) -> list[str]:
    """Name the operators of a training sample; one that is there twice gets a number."""
    seen: dict[str, int] = {}
    found = []
    for operator in config["Train"]["dataset"]["transforms"]:
        (name,) = operator
        seen[name] = seen.get(name, 0) + 1
        found.append(name if seen[name] == 1 else f"{name}[{seen[name] - 1}]")
    return found


def _encoder(config: Mapping[str, Any]) -> str:
    return next((name for name in _names(config) if name.endswith("LabelEncode")), "none")
