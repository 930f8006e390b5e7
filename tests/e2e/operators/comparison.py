"""Random input for the operators, and the comparison of both sides."""

import copy
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from trainer import recipes
from trainer.datasets.prepared import Prepared
from trainer.run import spec as runspec
from trainer.run.spec import RunSpec

SEEDS = st.integers(0, 2**32 - 1)
Data = dict[str, Any]
Operator = Callable[[Data], Data | None]

many = settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.too_slow])
some = settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.too_slow])


def same(theirs: Operator, ours: Operator, data: Data, *, seed: int, kept: bool = False) -> None:
    """Both make the same of equal data, and leave numpy's and Python's generators in the same state, or both fail."""
    results = []
    for operator in (theirs, ours):
        random.seed(seed)
        np.random.seed(seed)
        if kept:
            np.random.normal()
        try:
            made: Any = operator(copy.deepcopy(data))
        except Exception as error:  # noqa: BLE001
            made = type(error)
        results.append((made, random.getstate(), np.random.get_state()))
    (expected, python, numpy), (found, *states) = results
    assert python == states[0]
    assert np.array_equal(numpy[1], states[1][1])
    assert numpy[2:] == states[1][2:]
    if expected is None or isinstance(expected, type):
        assert found is expected
        return
    assert found is not None
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        if isinstance(value, np.ndarray):
            assert found[name].dtype == value.dtype, name
            assert np.array_equal(found[name], value, equal_nan=value.dtype.kind == "f"), name
        else:
            assert found[name] == value, name


def picture(seed: int, *, width: int, height: int, blocks: bool = False) -> Any:
    random = np.random.default_rng(seed)
    if blocks:
        small = random.integers(0, 256, (height // 8 + 1, width // 8 + 1, 3), dtype=np.uint8)
        return cv2.resize(small, (width, height))
    return random.integers(0, 256, (height, width, 3), dtype=np.uint8)


def polygons(seed: int, *, width: int, height: int, whole: bool) -> Any:
    """Quadrilaterals of all directions, of which some overlap, leave the page, or have two equal corners."""
    random = np.random.default_rng(seed)
    count = int(random.integers(0, 9))
    centres = random.uniform((-10, -10), (width + 10, height + 10), (count, 1, 2))
    angles = np.sort(random.uniform(0, 2 * np.pi, (count, 4)))
    found = centres + np.stack([np.cos(angles), np.sin(angles)], axis=-1) * random.uniform(2, 90, (count, 1, 2))
    if whole:
        found = np.round(found)
    if seed % 3 == 0:
        found[:, 2] = found[:, 1] * (1, 0) + found[:, 2] * (0, 1)
        found[:, 3] = found[:, 0] * (1, 0) + found[:, 2] * (0, 1)
        found[:, 1] = found[:, 1] * (1, 0) + found[:, 0] * (0, 1)
    if seed % 5 == 0:
        found[:, 3] = found[:, 2]
    return found


def configuration(recipe: str, folder: Path) -> Any:
    (folder / "dictionary.txt").write_text("".join(f"{digit}\n" for digit in range(10)), "utf-8")
    prepared = Prepared(root=folder, task="rec", digest="", counts={}, max_text_length=25, refused=())
    raw = {"task": recipe[:3], "recipe": recipe, "data": {"train": "s3://a/b"}, "output": "s3://a/c/"}
    return recipes.resolve(runspec.from_dict(RunSpec, raw, where="run"), prepared).config
