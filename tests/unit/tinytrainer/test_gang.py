"""The ranks of the tiny trainer exchange what they have, and notice a rank that is gone."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any

import numpy as np
import pytest

from jobs.local.plan import free_ports
from tests.tinytrainer.gang import Gang
from trainer.errors import TransientError


def on_all(world: int, do: Callable[[Gang], Any]) -> list[Any]:
    """Do something on every rank at once; return what each has of it."""
    first = free_ports(world)
    endpoints = [f"127.0.0.1:{first + rank}" for rank in range(world)]

    def member(rank: int) -> Any:
        with closing(Gang(rank, endpoints)) as gang:
            return do(gang)

    with ThreadPoolExecutor(world) as ranks:
        return list(ranks.map(member, range(world)))


@pytest.mark.parametrize("world", [1, 2, 3, 4])
def test_each_rank_has_every_ranks_value_in_rank_order(world: int) -> None:
    assert on_all(world, lambda gang: gang.gather(gang.rank * 10)) == [[rank * 10 for rank in range(world)]] * world


@pytest.mark.parametrize("world", [2, 3])
def test_the_mean_of_arrays_larger_than_any_buffer_is_the_same_on_each_rank(world: int) -> None:
    found = on_all(world, lambda gang: gang.mean(np.full(3_000_000, gang.rank, np.float32)))
    assert [float(each[0]) for each in found] == [(world - 1) / 2] * world
    assert all(np.array_equal(each, found[0]) for each in found)


def test_a_rank_that_leaves_is_a_transient_error_for_its_neighbour() -> None:
    def leave_or_wait(gang: Gang) -> str:
        if gang.rank:
            return ""
        with pytest.raises(TransientError, match="has lost a neighbour") as error:
            gang.gather(1)
        return str(error.value)

    assert on_all(2, leave_or_wait)[0]
