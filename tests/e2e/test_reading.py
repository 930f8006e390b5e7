"""How samples get to the loop."""

import threading

import numpy as np
import pytest

pytestmark = [pytest.mark.paddle, pytest.mark.filterwarnings("ignore"), pytest.mark.timeout(60)]


class Samples:
    """Notes which samples were made; the last cannot be."""

    def __init__(self):
        self.made = [threading.Event() for _ in range(3)]

    def __getitem__(self, item):
        if item == 3:
            raise ValueError("no such sample")
        self.made[item].set()
        return {}, [np.full(2, item, "float32")]


def test_the_next_batch_is_made_while_a_step_is_under_way():
    from trainer.ppocr.data import read_batches

    samples = Samples()
    batches = read_batches(samples, [[0], [1], [2]], readers=0)
    seen = [next(batches)[1][0].tolist()]
    # Nobody has asked for the second one yet.
    assert samples.made[1].wait(30)
    seen += [arrays[0].tolist() for _, arrays in batches]
    assert seen == [[[0, 0]], [[1, 1]], [[2, 2]]]


def test_what_is_wrong_with_a_batch_is_raised_where_it_is_wanted():
    from trainer.ppocr.data import read_batches

    batches = read_batches(Samples(), [[0], [3]], readers=0)
    next(batches)
    with pytest.raises(ValueError, match="no such sample"):
        next(batches)
