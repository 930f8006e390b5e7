"""The training state on disk: saved whole, loaded whole, and never changed by saving.

A folder holds `model.pdparams`, `optimizer.pdopt`, `ranks.pdstate` (each rank's buffers and random
states), `best.pdparams` once there is a best, and `checkpoint.json`, written last.
"""

import hashlib
import pickle
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import paddle

from trainer.ppocr import collective
from trainer.ppocr.job import Job
from trainer.ppocr.progress import Progress
from trainer.state import checkpoints, resuming
from trainer.state.resuming import Checkpoint
from trainer.system import atomic

Tensors = dict[str, Any]


def buffers(model: paddle.nn.Layer) -> Tensors:
    """Give the tensors that are not trained: BatchNorm's statistics, which differ between ranks."""
    frozen = tuple(f"{name}." for name in getattr(model, "frozen", ()))
    return {
        name: value.numpy()
        for name, value in model.state_dict().items()
        if value.stop_gradient and not name.startswith(frozen)
    }


def weights(model: paddle.nn.Layer) -> Tensors:
    """Give all weights of this rank, as a copy."""
    return {name: value.numpy() for name, value in model.state_dict().items()}


def agreed(model: paddle.nn.Layer) -> Tensors:
    """Give all weights with BatchNorm's statistics averaged over the ranks, as a copy."""
    state = weights(model)
    for name in sorted(buffers(model)):
        if np.issubdtype(state[name].dtype, np.floating):
            state[name] = collective.mean(state[name])
    return state


def parameters_digest(model: paddle.nn.Layer) -> str:
    """Give a sha256 over the trained parameters: equal on all ranks, or the gradients were not shared."""
    total = hashlib.sha256()
    for _, value in sorted(model.state_dict().items(), key=lambda item: item[0]):
        if not value.stop_gradient:
            total.update(value.numpy().tobytes())
    return total.hexdigest()


def finite(model: paddle.nn.Layer) -> bool:
    """Whether every weight of this rank is a number: one that is not would end in a checkpoint for good."""
    found = [paddle.isfinite(v).all() for v in model.state_dict().values() if v.is_floating_point()]
    return bool(paddle.stack(found).all())


def write_weights(state: Tensors, path: Path) -> None:
    """Write weights so that the file is there whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic.temporary(path) as new:
        paddle.save({name: paddle.to_tensor(value) for name, value in state.items()}, str(new))
        atomic.replace(new, path)


def save(job: Job, model: paddle.nn.Layer, *, optimizer: Any, progress: Progress, scaler: Any = None) -> None:
    """Save the state of all ranks into the folder of its step; every rank calls, rank 0 writes."""
    own = {"buffers": buffers(model), "random": paddle.get_rng_state(), "refused": progress.refused}
    ranks = collective.gather(own)
    progress.refused = {source: why for each in ranks for source, why in each.pop("refused").items()}
    if paddle.distributed.get_rank() == 0:
        with atomic.folder(job.work.checkpoint(progress.step)) as new:
            paddle.save(model.state_dict(), str(new / "model.pdparams"))
            paddle.save(optimizer.state_dict(), str(new / "optimizer.pdopt"))
            extra = {"ranks": ranks, "scaler": scaler.state_dict() if scaler else None}
            (new / "ranks.pickle").write_bytes(pickle.dumps(extra))
            if job.work.best_weights.exists():
                shutil.copy2(job.work.best_weights, new / "best.pdparams")
            checkpoints.seal(new, facts=asdict(progress), data=job.data)
    collective.meet()


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
        weights = paddle.load(str(best), return_numpy=True)
    model.set_state_dict(collective.share(weights))
    anew = {"epoch": 1, "step_in_epoch": 0, "step_size": 0, "taken": []}
    return Progress(**{**checkpoint.facts, **anew, "alone_since": checkpoint.facts["step"]})


def load(
    checkpoint: Checkpoint | None, model: paddle.nn.Layer, *, optimizer: Any, best: Path, scaler: Any = None
) -> Progress:
    """Load a state on every rank; only rank 0 needs the folder. None: a fresh start.

    On another number of ranks than it was saved on, every rank takes rank 0's statistics and draws anew, and
    the rest of the epoch is divided anew.
    """
    rank = paddle.distributed.get_rank()
    found: dict[str, Any] | None = None
    if rank == 0:
        _restore_best(checkpoint.folder if checkpoint else None, best)
    if checkpoint is None:
        return Progress()
    if rank == 0:
        folder = checkpoint.folder
        found = {
            "model": paddle.load(str(folder / "model.pdparams"), return_numpy=True),
            "optimizer": paddle.load(str(folder / "optimizer.pdopt"), return_numpy=True),
            **pickle.loads((folder / "ranks.pickle").read_bytes()),
        }
    found = collective.share(found)
    assert found is not None
    same = len(found["ranks"]) == paddle.distributed.get_world_size()
    own = found["ranks"][rank if same else 0]
    model.set_state_dict({**found["model"], **own["buffers"]})
    optimizer.set_state_dict(found["optimizer"])
    if scaler and found["scaler"]:
        scaler.load_state_dict(found["scaler"])
    if same:
        paddle.set_rng_state(own["random"])
    return Progress(**checkpoint.facts)


def _restore_best(folder: Path | None, best: Path) -> None:
    """Put the best weights of a checkpoint in their place; later ones, from before a damage, go."""
    best.unlink(missing_ok=True)
    if folder is not None and (folder / "best.pdparams").exists():
        best.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(folder / "best.pdparams", best)
