"""What the workers of a gang say to one another, on one rank too.

gloo ends a process that waits for another for more than 30 s, whatever paddle's own time-out is, so
every collective that may be reached at different times is preceded by a wait on the gang's store.
"""

import itertools
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import paddle
import paddle.distributed as dist

from trainer.errors import OcrfleetError

T = TypeVar("T")

_meetings = itertools.count()


def join() -> tuple[int, int]:
    """Join the gang that the environment describes; return rank and world size."""
    if dist.get_world_size() > 1:
        dist.init_parallel_env()
    return dist.get_rank(), dist.get_world_size()


def meet() -> None:
    """Wait until every rank is here, however long the slowest takes."""
    world = dist.get_world_size()
    if world == 1:
        return
    # All ranks count their meetings alike, so a meeting's number is a name for it.
    name = f"ocrfleet/meeting/{next(_meetings)}"
    store = _store()
    store.set(f"{name}/{dist.get_rank()}", "here")
    for rank in range(world):
        store.wait(f"{name}/{rank}")


def leave() -> None:
    """End together: rank 0 keeps the store that all meet at, so it goes last, when no other asks there any more."""
    if dist.get_rank():
        _store().set(f"ocrfleet/left/{dist.get_rank()}", "gone")
        return
    for rank in range(1, dist.get_world_size()):
        _store().wait(f"ocrfleet/left/{rank}")


def _store() -> Any:
    return paddle.base.core.create_or_get_global_tcp_store()


def gather(value: Any) -> list[Any]:
    """Return every rank's value, in rank order, on every rank. Values are pickled."""
    if dist.get_world_size() == 1:
        return [value]
    meet()
    values: list[Any] = []
    dist.all_gather_object(values, value)
    return values


def largest(values: Sequence[int]) -> list[int]:
    """Return the largest of each value over the ranks: one small all-reduce."""
    if dist.get_world_size() == 1:
        return list(values)
    tensor = paddle.to_tensor(np.array(values, dtype="int64"))
    dist.all_reduce(tensor, op=dist.ReduceOp.MAX)
    return [int(value) for value in tensor.numpy()]


def mean(value: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return the mean over the ranks, computed in float64 so that it is the same on each."""
    world = dist.get_world_size()
    if world == 1:
        return value
    tensor = paddle.to_tensor(value.astype("float64"))
    dist.all_reduce(tensor)
    total: npt.NDArray[Any] = tensor.numpy() / world
    return total.astype(value.dtype)


def share(value: Any) -> Any:
    """Return rank 0's value on every rank."""
    if dist.get_world_size() == 1:
        return value
    meet()
    box = [value]
    dist.broadcast_object_list(box, src=0)
    return box[0]


def decide(choose: Callable[[], T]) -> T:
    """Return what rank 0 chooses, on every rank; an error of its choice is raised on all, so that none waits for it."""
    value: T | None = None
    error: OcrfleetError | None = None
    if dist.get_rank() == 0:
        try:
            value = choose()
        except OcrfleetError as raised:
            error = raised
    value, error = share((value, error))
    if error is not None:
        raise error
    return value
