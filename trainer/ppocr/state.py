"""The training state on disk: saved whole, loaded whole, and never changed by saving.

A folder holds arrays as safetensors and facts as JSON, so nothing in it can run when it is read:

    model.safetensors       the model's tensors, as rank 0 has them
    optimizer.safetensors   `state/…` of each parameter, `master/…` weights, `scaler/…`
    rank-0.safetensors      each rank's buffers
    state.json              the schedule, names of master weights, the scaler, each rank's random states
    best.safetensors        once there is a best
    checkpoint.json         written last
"""

import hashlib
import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import paddle

from trainer.errors import SpecError
from trainer.formats import typed_json
from trainer.ppocr import collective
from trainer.ppocr.job import Job
from trainer.ppocr.progress import Progress
from trainer.state import checkpoints, resuming
from trainer.state.resuming import Checkpoint
from trainer.system import atomic
from trainer.weights import arrays

Tensors = dict[str, Any]


def buffers(model: paddle.nn.Layer) -> Tensors:
    """Return the tensors that are not trained: BatchNorm's statistics, which differ between ranks."""
    frozen = tuple(f"{name}." for name in getattr(model, "frozen", ()))
    return {
        name: value.numpy()
        for name, value in model.state_dict().items()
        if value.stop_gradient and not name.startswith(frozen)
    }


def weights(model: paddle.nn.Layer) -> Tensors:
    """Return all weights of this rank, as a copy."""
    return {name: value.numpy() for name, value in model.state_dict().items()}


def agreed(model: paddle.nn.Layer) -> Tensors:
    """Return all weights with BatchNorm's statistics averaged over the ranks, as a copy."""
    state = weights(model)
    for name in sorted(buffers(model)):
        if np.issubdtype(state[name].dtype, np.floating):
            state[name] = collective.mean(state[name])
    return state


def parameters_digest(model: paddle.nn.Layer) -> str:
    """Return a sha256 over the trained parameters: equal on all ranks, or the gradients were not shared."""
    total = hashlib.sha256()
    for _, value in sorted(model.state_dict().items(), key=lambda item: item[0]):
        if not value.stop_gradient:
            total.update(value.numpy().tobytes())
    return total.hexdigest()


def finite(model: paddle.nn.Layer) -> bool:
    """Whether every weight of this rank is a number: one that is not would end in a checkpoint for good."""
    found = [paddle.isfinite(v).all() for v in model.state_dict().values() if v.is_floating_point()]
    return bool(paddle.stack(found).all())


class Generator(msgspec.Struct, frozen=True):
    """State of a random generator of Paddle."""

    device: int
    seed: int
    offset: int
    engine: str


class Rest(msgspec.Struct, frozen=True):
    """`state.json`: what a state has beside its arrays."""

    schedule: dict[str, Any] | None
    """Of the learning rate."""

    masters: dict[str, str]
    """Names of the master weights' tensors, after which the optimizer names its state."""

    scaler: dict[str, Any]
    generators: list[list[Generator]]
    """Of each rank, in order."""


def _own() -> Any:
    """Return the random generator of this rank's device.

    `paddle.get_rng_state` returns those of all devices of the node, and its counterpart takes no fewer and no more. But
    the other devices are those of other ranks, and a run may resume on nodes with another number of them.
    """
    core, place = paddle.base.core, paddle.framework._current_expected_place_()
    if isinstance(place, paddle.CUDAPlace):
        return core.default_cuda_generator(place.get_device_id())
    return core.default_cpu_generator()


def generators() -> list[Generator]:
    """Return the states of this rank's random generators: one, of its device."""
    # As pickle would, but in numbers: device, seed, offset, and the text of C++'s engine as a list of its bytes.
    s = _own().get_state().__getstate__()
    return [Generator(int(s[0]), int(s[1]), int(s[2]), bytes(s[3]).decode("latin1"))]


def set_generators(states: Sequence[Generator]) -> None:
    """Put this rank's random generators into the states of `generators`."""
    (state,), own = states, _own()
    now = own.get_state()
    kind: Any = type(now)
    new = kind.__new__(kind)
    # The rank may have another device of its node now.
    new.__setstate__((now.__getstate__()[0], state.seed, state.offset, list(state.engine.encode("latin1"))))
    own.set_state(new)


def write_weights(state: Tensors, path: Path) -> None:
    """Write weights so that the file is there whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic.temporary(path) as new:
        arrays.write(new, state)
        atomic.replace(new, path)


def save(job: Job, model: paddle.nn.Layer, *, optimizer: Any, progress: Progress, scaler: Any = None) -> None:
    """Save the state of all ranks into the folder of its step; every rank calls, rank 0 writes."""
    own = {"buffers": buffers(model), "generators": generators(), "refused": progress.refused}
    ranks = collective.gather(own)
    progress.refused = {source: why for each in ranks for source, why in each.pop("refused").items()}
    if paddle.distributed.get_rank() == 0:
        with atomic.folder(job.work.checkpoint(progress.step)) as new:
            _write_tensors(new / "model.safetensors", model.state_dict())
            for rank, each in enumerate(ranks):
                arrays.write(new / f"rank-{rank}.safetensors", each["buffers"])
            rest = _write_optimizer(new / "optimizer.safetensors", optimizer, scaler)
            rest["generators"] = [[msgspec.to_builtins(state) for state in each["generators"]] for each in ranks]
            (new / "state.json").write_text(json.dumps(rest, default=lambda number: number.item()), "utf-8")
            if job.work.best_weights.exists():
                shutil.copy2(job.work.best_weights, new / "best.safetensors")
            checkpoints.seal(new, facts=asdict(progress), data=job.data)
    collective.meet()


def _write_tensors(path: Path, values: Mapping[str, Any]) -> None:
    # An optimizer that has loaded its state and done no step gives that back as it got it: as arrays.
    tensors = {name: paddle.to_tensor(v) if isinstance(v, np.ndarray) else v for name, v in values.items()}
    half = [name for name, tensor in tensors.items() if tensor.dtype == paddle.bfloat16]
    arrays.write(path, {name: tensor.numpy() for name, tensor in tensors.items()}, bfloat16=half)


def _write_optimizer(path: Path, optimizer: Any, scaler: Any) -> dict[str, Any]:
    """Write the arrays of an optimizer and a scaler; return what else they have, as in `Rest`."""
    state = dict(optimizer.state_dict())
    schedule, masters = state.pop("LR_Scheduler", None), state.pop("master_weights", {})
    scaling = scaler.state_dict() if scaler else {}
    scales = {name: value for name, value in scaling.items() if isinstance(value, np.ndarray)}
    tensors = {f"state/{name}": tensor for name, tensor in state.items()}
    tensors |= {f"master/{name}": tensor for name, tensor in masters.items()}
    _write_tensors(path, tensors | {f"scaler/{name}": value for name, value in scales.items()})
    return {
        "schedule": schedule,
        "masters": {name: tensor.name for name, tensor in masters.items()},
        "scaler": {name: value for name, value in scaling.items() if name not in scales},
    }


def newest(job: Job) -> Checkpoint | None:
    """Return the checkpoint to resume from, on every rank; only rank 0 has its folder. None: start from step 0.

    Raises:
        DatasetError: it was trained on other data, and the run does not allow to restart.
        SpecError: every checkpoint is damaged, and the run does not allow to restart.
    """
    return collective.decide(
        lambda: resuming.choose(job.work.checkpoints, run=job.run, data=job.data, tell=job.events.send)
    )


def begin_alone(checkpoint: Checkpoint, model: paddle.nn.Layer, *, best: Path) -> Progress:
    """Begin to train one network by itself from the best weights of a distillation that is over, on every rank.

    Args:
        checkpoint: the distillation's last state; only rank 0 needs its folder.
        model: the network.
        best: where the best weights are, or are put.
    """
    weights: Tensors | None = None
    if paddle.distributed.get_rank() == 0:
        _restore_best(checkpoint.folder, best)
        weights = arrays.read(best)
    model.set_state_dict(collective.share(weights))
    anew = {"epoch": 1, "step_in_epoch": 0, "step_size": 0, "taken": []}
    return Progress(**{**checkpoint.facts, **anew, "alone_since": checkpoint.facts["step"]})


def load(
    checkpoint: Checkpoint | None, model: paddle.nn.Layer, *, optimizer: Any, best: Path, scaler: Any = None
) -> Progress:
    """Load a state on every rank; only rank 0 needs the folder. None: a fresh start.

    On another number of ranks than it was saved on, every rank takes rank 0's statistics and draws anew, and
    the rest of the epoch is divided anew.

    Raises:
        SpecError: another version wrote it.
    """
    rank = paddle.distributed.get_rank()
    if rank == 0:
        _restore_best(checkpoint.folder if checkpoint else None, best)
    if checkpoint is None:
        return Progress()
    found = collective.decide(lambda: _read(checkpoint))
    rest = found["rest"]
    same = len(rest.generators) == paddle.distributed.get_world_size()
    model.set_state_dict({**found["model"], **found["buffers"][rank if same else 0]})
    _set_optimizer(optimizer, scaler, found["optimizer"], rest)
    if same:
        set_generators(rest.generators[rank])
    return Progress(**checkpoint.facts)


def _read(checkpoint: Checkpoint) -> dict[str, Any]:
    """Read all of a checkpoint's files but the best weights.

    Raises:
        SpecError: another version wrote it.
    """
    folder = checkpoint.folder
    try:
        Progress(**checkpoint.facts)
        rest = typed_json.decode((folder / "state.json").read_bytes(), Rest)
        return {
            "model": arrays.read(folder / "model.safetensors"),
            "optimizer": arrays.read(folder / "optimizer.safetensors"),
            "buffers": [arrays.read(folder / f"rank-{rank}.safetensors") for rank in range(len(rest.generators))],
            "rest": rest,
        }
    except (FileNotFoundError, ValueError, TypeError) as error:
        raise SpecError(
            f"The checkpoint {folder} is whole, but was written by another version of ocrfleet ({error}). Use that "
            "version, or set another run.output to train from step 0."
        ) from error


def _set_optimizer(optimizer: Any, scaler: Any, values: Mapping[str, Any], rest: Rest) -> None:
    def under(prefix: str) -> Tensors:
        return {name.removeprefix(prefix): value for name, value in values.items() if name.startswith(prefix)}

    state = under("state/")
    if rest.schedule is not None:
        state["LR_Scheduler"] = rest.schedule
    if rest.masters:
        state["master_weights"] = {name: paddle.to_tensor(value) for name, value in under("master/").items()}
        for name, tensor in state["master_weights"].items():
            tensor.name = rest.masters[name]
    optimizer.set_state_dict(state)
    if scaler and rest.scaler:
        scaler.load_state_dict({**rest.scaler, **under("scaler/")})


def _restore_best(folder: Path | None, best: Path) -> None:
    """Put the best weights of a checkpoint in their place; later ones, from before a damage, go."""
    best.unlink(missing_ok=True)
    if folder is not None and (folder / "best.safetensors").exists():
        best.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(folder / "best.safetensors", best)
