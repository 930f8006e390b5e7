"""A training set's samples in one block of memory.

Reader processes share their worker's memory until one of them writes to it, and Python writes to an object to count who
uses it: a list of samples ends as a copy in each reader, half a gigabyte for a million lines.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from trainer.datasets.prepared import Sample


class Packed(Sequence[Sample]):
    """Samples by their place from 0, each made when it is asked for."""

    def __init__(self, samples: Sequence[Sample]) -> None:
        """Pack samples."""
        rows = [json.dumps([str(s.image), s.label, s.source, s.width, s.height]).encode("ascii") for s in samples]
        self._ends = np.cumsum([0, *map(len, rows)], dtype=np.int64)
        self._rows = b"".join(rows)

    def __len__(self) -> int:
        return len(self._ends) - 1

    def __getitem__(self, place: Any) -> Any:
        image, label, source, width, height = json.loads(self._rows[self._ends[place] : self._ends[place + 1]])
        return Sample(image=Path(image), label=label, source=source, width=width, height=height)
