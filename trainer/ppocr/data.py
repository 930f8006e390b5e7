"""Training samples: read, transformed by PaddleOCR's operators, batched in an order that a seed fixes.

PaddleOCR's own dataset replaces a sample it cannot read by a random other one without a word, and
recurses for ever when all are bad. Here a replacement is the next sample, it is counted and named, and
a full turn without a good one is an error.
"""

import copy
import json
import logging
import random
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import paddle

from trainer.datasets import Sample
from trainer.errors import DatasetError
from trainer.ppocr import tree

log = logging.getLogger(__name__)

Array = npt.NDArray[Any]
MOST_IN_A_ROW = 100
"""Replacements in a row that end the run: far above any rate of bad samples worth training on."""


class TrainingSet(paddle.io.Dataset):  # type: ignore[misc]
    """The train split; item (epoch, index) is the same in whatever process it is made."""

    def __init__(self, samples: Sequence[Sample], config: dict[str, Any], *, seed: int) -> None:
        tree.on_path()
        from ppocr.data.imaug import create_operators

        super().__init__()
        dataset = copy.deepcopy(config["Train"]["dataset"])
        self._samples = samples
        self._seed = seed
        # create_operators writes every Global key into each operator's arguments: hence the copies.
        self._operators = create_operators(dataset["transforms"], copy.deepcopy(config["Global"]))
        self._loading = self._operators[: dataset.get("ext_op_transform_idx", 2)]
        self._extra = next((op.ext_data_num for op in self._operators if hasattr(op, "ext_data_num")), 0)

    def __len__(self) -> int:
        return len(self._samples)

    def __getitem__(self, item: tuple[int, int]) -> tuple[list[str], list[Array]]:
        """Make one sample; give it with what was refused on the way.

        Raises:
            DatasetError: `MOST_IN_A_ROW` samples in a row could not be used.
        """
        epoch, index = item
        refused: list[str] = []
        for turn in range(min(MOST_IN_A_ROW, len(self._samples))):
            sample = self._samples[(index + turn) % len(self._samples)]
            # PaddleOCR's operators draw from both global generators.
            state = np.random.SeedSequence([self._seed, epoch, index, turn]).generate_state(2)
            random.seed(int(state[0]))
            np.random.seed(int(state[1]))
            try:
                made = self._make(sample)
                reason = "left out by the augmentation"
            # An operator may raise anything on odd input; whatever it was is counted and named.
            except Exception as error:  # noqa: BLE001
                made, reason = None, f"{type(error).__name__}: {error}"
            if made is not None:
                return refused, made
            refused.append(f"{sample.source}: {reason}")
        raise DatasetError(
            f"{len(refused)} training samples in a row could not be used. The first: {refused[0]}. "
            "Run `ocrfleet data check` on the dataset, and look at the recipe's augmentation."
        )

    def _read(self, sample: Sample) -> dict[str, Any]:
        return {"img_path": str(sample.image), "image": sample.image.read_bytes(), "label": sample.label}

    def _make(self, sample: Sample) -> list[Array] | None:
        data: Any = self._read(sample)
        data["ext_data"] = self._extra_samples()
        for operator in self._operators:
            data = operator(data)
            if data is None:
                return None
        return [np.asarray(part) for part in data]

    def _extra_samples(self) -> list[dict[str, Any]]:
        """Load the other samples that RecConAug and CopyPaste mix in."""
        found: list[dict[str, Any]] = []
        for _ in range(MOST_IN_A_ROW):
            if len(found) == self._extra:
                break
            data: Any = self._read(self._samples[np.random.randint(len(self._samples))])
            for operator in self._loading:
                data = operator(data) if data is not None else None
            # CopyPaste mixes quadrilaterals only.
            if data is not None and ("polys" not in data or data["polys"].shape[1] == 4):
                found.append(data)
        return found


class Order:
    """Which samples make which batch of which rank: a function of seed, epoch and world size alone."""

    def __init__(self, count: int, *, batch: int, rank: int, world: int, seed: int, drop_last: bool) -> None:
        self._count, self._batch, self._rank, self._world, self._seed = count, batch, rank, world, seed
        whole, rest = divmod(count, batch * world)
        self.steps = whole if drop_last or not rest else whole + 1
        """Batches that every rank has in an epoch."""

    def batches(self, epoch: int, *, start: int = 0) -> Iterator[list[tuple[int, int]]]:
        """Give this rank's batches of an epoch from step `start` on, as items of the dataset.

        The last batch is filled from the epoch's beginning, so that all ranks have batches of one size.
        """
        order = np.random.default_rng([self._seed, epoch]).permutation(self._count)
        for step in range(start, self.steps):
            first = (step * self._world + self._rank) * self._batch
            yield [(epoch, int(order[i % self._count])) for i in range(first, first + self._batch)]


def collate(items: list[tuple[list[str], list[Array]]]) -> tuple[str, list[Array]]:
    """Stack samples into a batch: what was refused as JSON (a loader passes strings whole), and the arrays."""
    refused = [line for lines, _ in items for line in lines]
    return json.dumps(refused), [np.stack(parts) for parts in zip(*(arrays for _, arrays in items), strict=True)]


def read_batches(
    dataset: TrainingSet, batches: Iterator[list[tuple[int, int]]], *, readers: int
) -> Iterator[tuple[list[str], list[paddle.Tensor]]]:
    """Give batches as tensors, made in this process or, with `readers` above 0, in so many others."""
    made: Any
    if readers:
        made = paddle.io.DataLoader(
            dataset, batch_sampler=list(batches), collate_fn=collate, num_workers=readers, return_list=True
        )
    else:
        made = (collate([dataset[item] for item in batch]) for batch in batches)
    for refused, arrays in made:
        yield json.loads(refused), [paddle.to_tensor(array) for array in arrays]
