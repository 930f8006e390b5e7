"""Which samples make which batch: each once an epoch, the same wherever it is worked out."""

from collections import Counter
from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from trainer.ppocr.order import Order


@st.composite
def orders(draw):
    count = draw(st.integers(1, 60))
    widths = draw(st.none() | st.lists(st.integers(1, 9).map(lambda n: n * 32), min_size=count, max_size=count))
    return Order(
        count=count,
        batch=draw(st.integers(1, 7)),
        world=draw(st.integers(1, 4)),
        seed=draw(st.integers(0, 2**31 - 1)),
        drop_last=draw(st.booleans()),
        widths=widths,
    )


@given(orders(), st.integers(1, 5))
def test_an_epoch_has_every_sample_once_and_repeats_only_to_fill_the_last_step(order, epoch):
    plan = order.epoch(epoch)
    size = order.batch * order.world
    assert len(plan) == order.steps == order.steps_left()
    assert all(len(samples) == size for samples in plan)
    used = Counter(int(i) for samples in plan for i in samples)
    assert set(used) <= set(range(order.count))
    if order.drop_last:
        assert order.count - len(used) == order.count % size
        assert all(times == 1 for times in used.values())
    else:
        assert set(used) == set(range(order.count))
        assert sum(used.values()) - order.count == -order.count % size


@given(orders(), st.integers(1, 5))
def test_the_order_is_the_same_every_time_and_another_in_another_epoch(order, epoch):
    again = Order(**{name: getattr(order, name) for name in order.__dataclass_fields__})
    assert [list(a) for a in order.epoch(epoch)] == [list(a) for a in again.epoch(epoch)]


def test_epochs_and_seeds_shuffle_anew():
    order = Order(count=64, batch=8, world=1, seed=1)
    plans = [
        np.concatenate(o.epoch(epoch)).tolist()
        for o in (order, Order(count=64, batch=8, world=1, seed=2))
        for epoch in (1, 2)
    ]
    assert len({tuple(plan) for plan in plans}) == 4


@given(orders(), st.integers(1, 5))
def test_ranks_share_a_step_without_overlap(order, epoch):
    for samples in order.epoch(epoch):
        parts = [order.items(samples, rank=rank, epoch=epoch) for rank in range(order.world)]
        assert [index for part in parts for _, index, _ in part] == list(samples)
        assert {e for part in parts for e, _, _ in part} == {epoch}


@given(orders(), st.integers(1, 5))
def test_lines_of_like_width_share_a_step_and_the_widest_comes_first(order, epoch):
    if order.widths is None:
        assert all(width == 0 for s in order.epoch(epoch) for _, _, width in order.items(s, rank=0, epoch=epoch))
        return
    plan = order.epoch(epoch)
    spans = [(min(order.widths[i] for i in samples), max(order.widths[i] for i in samples)) for samples in plan]
    if plan:
        assert spans[0][1] == max(high for _, high in spans)
    # What fills the last step is the widest there is, and may be narrower than it.
    if order.drop_last or order.count % (order.batch * order.world) == 0:
        assert all(low >= high for (_, high), (low, _) in pairwise(sorted(spans)))
    for samples in plan:
        items = order.items(samples, rank=0, epoch=epoch)
        assert {width for _, _, width in items} == {max(order.widths[i] for _, i, _ in items)}


@given(st.integers(1, 60), st.integers(1, 3), st.integers(1, 3), st.integers(1, 4), st.data())
def test_another_gang_goes_on_with_the_samples_that_are_left(count, first, second, batch, data):
    """Nothing is learned twice and nothing left out when an epoch begins on one number of ranks and ends on another."""
    before = Order(count=count, batch=batch, world=first, seed=3)
    done = data.draw(st.integers(0, before.steps - 1))
    taken = [(batch * first, done)] if done else []
    after = Order(count=count, batch=batch, world=second, seed=3)
    seen = {int(i) for samples in before.epoch(1)[:done] for i in samples}
    rest = after.epoch(1, taken=taken)
    left = {int(i) for samples in rest for i in samples}
    assert not seen & left
    assert seen | left == set(range(count))
    assert len(rest) == after.steps_left(taken)
