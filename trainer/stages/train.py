"""train: the gang's longest stage, from the newest checkpoint that can be had."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from trainer.errors import OcrfleetError
from trainer.run.workdir import WorkDir
from trainer.state import checkpoints
from trainer.state.mirror import Mirror


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
        facts = worker()
    except OcrfleetError:
        # Why training ended is the news; a checkpoint that is only here is said beside it.
        with saying(say):
            mirror.finish_pushing()
        raise
    mirror.finish_pushing()
    return facts


@contextmanager
def saying(say: Callable[[str], None]) -> Iterator[None]:
    """Say an error instead of raising it."""
    try:
        yield
    except OcrfleetError as error:
        say(f"The last checkpoint is kept on this machine only: {error}")
