"""How many processes read samples for a worker: as many as its cores and /dev/shm allow. Paddle-free."""

import math
from typing import Final

from trainer.errors import SpecError
from trainer.ppocr.job import Job
from trainer.system.cpu import cores

_MOST: Final = 64
"""As `run.train.readers` allows."""

_FOR_READERS: Final = 0.9
"""The part of /dev/shm that readers may fill: NCCL has its buffers between the devices of a node there, too."""


def shared_bytes(readers: int, *, batch: int) -> int:
    """Return how much of /dev/shm readers fill at most: when training pauses, they read on until nothing more may wait.

    Paddle (3.2.2 looked at) has two batches a reader made or waiting (`_outstanding_capacity` in
    paddle/io/dataloader/dataloader_iter.py). Those that it has handed over are not among them: the buffer that copies
    to a GPU keeps two.

    Args:
        readers: how many.
        batch: bytes of the largest batch.
    """
    return (2 * readers + 2) * batch if readers else 0


def asked(job: Job) -> int:
    """Return how many processes are to read for this worker: the job file's number, else what its cores allow.

    On CPU none, since training itself uses the cores.
    """
    if job.run.train.readers is not None:
        return job.run.train.readers
    return min(_MOST, max(1, cores() // job.local_size)) if job.device == "gpu" else 0


def fitting(job: Job, *, batch: int) -> tuple[int, str]:
    """Return how many of these /dev/shm has room for, and a note for the user if they are fewer.

    Args:
        job: whose readers, and whose share of the node's shared memory.
        batch: bytes of the largest batch.

    Raises:
        SpecError: `run.train.readers` does not fit into /dev/shm even when that is empty.
    """
    wanted, memory = asked(job), job.shared_memory

    def needed(readers: int) -> int:
        return math.ceil(job.local_size * shared_bytes(readers, batch=batch) / _FOR_READERS)

    def most(room: int) -> int:
        return next(readers for readers in range(wanted, -1, -1) if needed(readers) <= room)

    fits = most(memory.free)
    if fits == wanted:
        return fits, ""
    enough = f"{_mebibytes(needed(wanted))} (placement.storage.sharedMemory; --shm-size of docker)"
    if job.run.train.readers is not None and most(memory.total) < wanted:
        raise SpecError(
            f"run.train.readers is {wanted}, but /dev/shm has {_mebibytes(memory.total)}, and the batches of {wanted} "
            f"readers for each of {job.local_size} devices need {enough}. Increase it, or set run.train.readers to "
            f"{most(memory.total)}."
        )
    return fits, (
        f"{fits} instead of {wanted} processes read samples for each device: /dev/shm has "
        f"{_mebibytes(memory.free)} free, and the batches of {wanted} need {enough}."
    )


def _mebibytes(count: int) -> str:
    """Spell a size as the job file does."""
    return f"{math.ceil(count / 2**20)}Mi"
