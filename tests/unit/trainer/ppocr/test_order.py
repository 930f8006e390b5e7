"""Which samples make which batch: each once an epoch, the same wherever it is worked out."""

from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
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
def test_the_order_is_the_same_wherever_it_is_worked_out(order, epoch):
    again = Order(**{name: getattr(order, name) for name in order.__dataclass_fields__})
    assert [list(a) for a in order.epoch(epoch)] == [list(a) for a in again.epoch(epoch)]


LINES = 64
WIDTHS = {
    "without widths": None,
    "one width": [32] * LINES,
    "a width each": [32 * (n + 1) for n in range(LINES)],
}


@pytest.mark.parametrize("widths", WIDTHS.values(), ids=list(WIDTHS))
def test_another_epoch_or_seed_has_another_order(widths):
    """Lines of one width are dealt to other batches, and batches of other widths come in another order."""
    plans = [
        np.concatenate(Order(count=LINES, batch=8, world=1, seed=seed, widths=widths).epoch(epoch)).tolist()
        for seed in (1, 2)
        for epoch in (1, 2)
    ]
    assert len({tuple(plan) for plan in plans}) == 4


def test_after_the_widest_step_the_others_come_in_any_order():
    """In the order of their widths the steps of an epoch would begin easy and end hard."""
    order = Order(count=LINES, batch=4, world=1, seed=1, widths=WIDTHS["a width each"])
    widths = [order.items(samples, rank=0, epoch=1)[0][2] for samples in order.epoch(1)]
    assert widths[0] == max(widths)
    assert widths[1:] not in (sorted(widths[1:]), sorted(widths[1:], reverse=True))


def test_the_rest_of_an_epoch_is_shuffled_anew_for_another_gang():
    before = Order(count=LINES, batch=8, world=2, seed=1)
    after = [Order(count=LINES, batch=8, world=1, seed=1).epoch(1, taken=[(16, steps)]) for steps in (0, 1)]
    assert len(after[1]) == 6
    assert np.concatenate(after[1]).tolist() != np.concatenate(before.epoch(1)[1:]).tolist()


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
