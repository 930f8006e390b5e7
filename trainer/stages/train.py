"""train: the gang's longest stage, from the newest checkpoint that can be had."""

from collections.abc import Callable
from typing import Any

from trainer import checkpoints
from trainer.mirror import Mirror
from trainer.workdir import WorkDir


def train(
    work: WorkDir, *, leader: bool, mirror: Mirror, worker: Callable[[], dict[str, Any]], say: Callable[[str], None]
) -> dict[str, Any]:
    """Train on this node's workers, pushing the leader's checkpoints beside.

    Args:
        work: the run's folder on this node.
        leader: whether this node saves; only it needs a checkpoint to go on from, its workers share it.
        mirror: the bucket's side.
        worker: does the stage in worker processes.
        say: tells the user.

    Returns:
        Facts: `steps`, and the `best` evaluation.
    """
    work.trained.mkdir(exist_ok=True)
    if not leader:
        return worker()
    local = checkpoints.local(work.checkpoints)
    # A node that has lost its disk goes on from the bucket.
    pulled = mirror.remote.pull_newest(work.checkpoints, newer_than=int(local[-1].name) if local else -1)
    if pulled is not None:
        say(f"Going on from the bucket's checkpoint of step {int(pulled.name)}.")
    mirror.begin_pushing()
    try:
        return worker()
    finally:
        mirror.finish_pushing()
