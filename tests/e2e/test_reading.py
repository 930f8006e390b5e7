"""How samples get to the loop."""

import threading
from pathlib import Path

import numpy as np
import pytest

from trainer.datasets.prepared import Sample

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


def sample(label: str, *, width: int) -> Sample:
    return Sample(image=Path("x.png"), label=label, source=f"rec_gt.txt:{label}", width=width, height=10)


def test_labels_with_more_steps_than_places_are_refused_by_name():
    """Equal neighbours need a blank between them, so `aa` takes three places; an infinite CTC loss would count as 0."""
    from trainer.ppocr.data import screen

    fits = [sample("ab", width=2), sample("aa", width=3), sample("aabb", width=6)]
    fails = [sample("abc", width=2), sample("bb", width=2), sample("bbaa", width=5)]
    good, refused = screen([*fits, *fails], takes=lambda text: True, places=lambda one: one.width)
    assert good == fits
    assert refused.keys() == {one.source for one in fails}
    assert refused["rec_gt.txt:bbaa"] == "the label needs 6 places, but a line of 5 × 10 pixels has 5"


def test_labels_that_the_encoder_drops_are_refused_by_name():
    from trainer.ppocr.data import screen

    good, refused = screen(
        [sample("ab", width=9), sample("abc", width=9)], takes=lambda text: len(text) < 3, places=lambda one: one.width
    )
    assert [one.label for one in good] == ["ab"]
    assert refused == {"rec_gt.txt:abc": "the label has 3 characters, more than Global.max_text_length allows"}
