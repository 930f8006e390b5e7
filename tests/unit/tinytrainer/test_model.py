"""The tiny trainer's model learns by the gradient of its loss."""

import numpy as np

from tests.tinytrainer.model import NOTHING, Model


def model(places: int = 3) -> Model:
    return Model(["a", "b", " "], np.zeros((5, places, 4), np.float32))


def test_its_gradient_is_the_slope_of_its_loss() -> None:
    random = np.random.default_rng(1)
    made, pixels = model(), random.normal(size=(6, 5)).astype(np.float32)
    made.weights = random.normal(size=made.weights.shape)  # double precision, for a small step
    classes = made.classes(["a", "ab", "b a", "", "bb", "a"])
    _, slope = made.gradient(pixels, classes)
    for place in ((0, 0, 1), (4, 2, NOTHING), (2, 1, 3)):
        losses = []
        for step in (1e-4, -1e-4):
            moved = Model(made.characters, made.weights.copy())
            moved.weights[place] += step
            losses.append(moved.gradient(pixels, classes)[0])
        wanted = (losses[0] - losses[1]) / 2e-4 * made.weights.shape[1]
        assert abs(slope[place] - wanted) < 1e-3


def test_it_learns_to_spell_what_it_is_shown() -> None:
    made, pixels, labels = model(), np.eye(4, 5, dtype=np.float32), ["a", "b a", "", "ab"]
    classes = made.classes(labels)
    first, _ = made.gradient(pixels, classes)
    for _ in range(200):
        loss, slope = made.gradient(pixels, classes)
        made.weights -= 2 * slope
    assert loss < first / 10
    assert [text for text, _ in made.read(pixels)] == labels
