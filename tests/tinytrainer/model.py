"""The model: for each place of a line, a linear layer from a thumbnail of the image to a character or none."""

import hashlib
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from trainer.datasets import dictionary, images
from trainer.datasets.prepared import Prepared, Sample
from trainer.system import atomic

Array = npt.NDArray[np.float32]
Row = dict[str, Any]

ROWS: Final = 8
COLUMNS: Final = 32
"""Pixels of a thumbnail."""

NOTHING: Final = 0
"""The class of a place behind a line's end."""


@dataclass
class Model:
    """Weights and the characters that they stand for."""

    characters: list[str]
    """Class 1 is the first of them."""

    weights: Array
    """Pixels and a bias × places × classes."""

    @classmethod
    def untrained(cls, prepared: Prepared) -> "Model":
        """Make a model for a dataset."""
        characters = [*dictionary.load(prepared.dictionary), " "]
        shape = (ROWS * COLUMNS + 1, max(1, prepared.max_text_length), len(characters) + 1)
        return cls(characters, np.zeros(shape, np.float32))

    @property
    def digest(self) -> str:
        """A sha256 over the weights: equal on all ranks, or the gradients were not shared."""
        return hashlib.sha256(self.weights.tobytes()).hexdigest()

    def probabilities(self, pixels: Array) -> Array:
        """Return samples × places × classes."""
        scores = np.einsum("sp,pkc->skc", pixels, self.weights)
        powers = np.exp(scores - scores.max(axis=2, keepdims=True))
        whole: Array = powers / powers.sum(axis=2, keepdims=True)
        return whole

    def gradient(self, pixels: Array, classes: npt.NDArray[np.int64]) -> tuple[float, Array]:
        """Return the mean loss of labelled samples, and the gradient of its sum over the places."""
        found = self.probabilities(pixels)
        samples, places = classes.shape
        right = (np.arange(samples)[:, None], np.arange(places), classes)
        loss = float(-np.log(np.maximum(found[right], 1e-12)).mean())
        found[right] -= 1
        slope: Array = np.einsum("sp,skc->pkc", pixels, found / samples)
        return loss, slope

    def classes(self, labels: Sequence[str]) -> npt.NDArray[np.int64]:
        """Return the classes of each label's characters, samples × places."""
        number = {character: place for place, character in enumerate(self.characters, start=1)}
        made = np.full((len(labels), self.weights.shape[1]), NOTHING, np.int64)
        for row, label in zip(made, labels, strict=True):
            known = [number[character] for character in label]
            row[: len(known)] = known
        return made

    def read(self, pixels: Array) -> list[tuple[str, float]]:
        """Return the text of each sample, and how sure it is."""
        found = self.probabilities(pixels)
        names = ["", *self.characters]
        texts = ("".join(names[place] for place in row) for row in found.argmax(axis=2))
        return list(zip(texts, found.max(axis=2).mean(axis=1).tolist(), strict=True))

    def write(self, path: Path) -> None:
        """Write the weights, whole or not at all."""
        content = io.BytesIO()
        np.save(content, self.weights)
        atomic.write(path, content.getvalue())

    def load(self, path: Path) -> None:
        """Take the weights of a file."""
        self.weights = np.load(io.BytesIO(path.read_bytes()))


def pixels_of(samples: Iterable[Sample]) -> Array:
    """Read each image as a thumbnail of length 1, with a bias behind it."""
    return np.stack([_thumbnail(sample.image) for sample in samples])


def _thumbnail(path: Path) -> Array:
    gray = images.decode(path.read_bytes()).mean(axis=2)
    rows, columns = (
        np.linspace(0, size - 1, count).astype(int) for size, count in zip(gray.shape, (ROWS, COLUMNS), strict=True)
    )
    small = gray[np.ix_(rows, columns)].ravel()
    small = small - small.mean()
    return np.append(small / max(float(np.linalg.norm(small)), 1e-6), 1).astype(np.float32)
