"""train: the gang's longest stage; it starts from the newest checkpoint, here or in the bucket."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from trainer.errors import OcrfleetError
from trainer.run.spec import RunSpec
from trainer.run.workdir import WorkDir
from trainer.state import key, resuming
from trainer.state.checkpoints import Signatures
from trainer.state.mirror import Mirror
from trainer.telemetry.events import Hear, Notice


def train(
    run: RunSpec, work: WorkDir, *, leader: bool, mirror: Mirror, worker: Callable[[], dict[str, Any]], tell: Hear
) -> dict[str, Any]:
    """Train on this node's workers, and upload the leader's checkpoints meanwhile.

    Args:
        run: what to train.
        work: the run's folder on this node.
        leader: whether this node saves. Only the leader needs a checkpoint to resume from; its workers share it.
        mirror: the bucket's side.
        worker: does the stage in worker processes.
        tell: hears of what a user should know.

    Returns:
        Facts: `steps`, and the `best` evaluation.

    Raises:
        SpecError: every checkpoint is damaged, and `run.checkpoint.onDamage` is `fail`.
    """
    work.trained.mkdir(exist_ok=True)
    if not leader:
        return worker()
    signatures = Signatures(key=key.create(mirror.store), folder=work.signatures)
    # A node that has lost its disk resumes from the bucket.
    resuming.pull(work.checkpoints, remote=mirror.remote, signatures=signatures, run=run, tell=tell)
    mirror.begin_pushing(signatures)
    try:
        facts = worker()
    except OcrfleetError:
        # The reason why training ended matters more; a checkpoint that is only local is mentioned next to it.
        with telling(tell):
            mirror.finish_pushing()
        raise
    mirror.finish_pushing()
    return facts


@contextmanager
def telling(tell: Hear) -> Iterator[None]:
    """Report an error instead of raising it."""
    try:
        yield
    except OcrfleetError as error:
        tell(Notice(message=f"The last checkpoint is on this machine only: {error}"))
