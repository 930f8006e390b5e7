"""Named arrays in a file of safetensors: a header of JSON and bare numbers, with nothing in it that could run."""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError
from safetensors.numpy import load_file, save

from trainer.errors import SpecError

Array = npt.NDArray[Any]


def write(path: Path, arrays: Mapping[str, Array], *, bfloat16: Collection[str] = ()) -> None:
    """Write named arrays.

    Args:
        path: the file.
        arrays: the arrays.
        bfloat16: names of those that hold bfloat16. numpy does not know it, so Paddle hands them out as uint16, and
            that is how they are stored; the file's metadata names them for other readers.
    """
    metadata = {"bfloat16": " ".join(sorted(bfloat16))} if bfloat16 else None
    # Not ascontiguousarray, which makes a list of a single number; nor save_file, whose error on a full disk is no
    # OSError.
    path.write_bytes(save({name: np.asarray(array, order="C") for name, array in arrays.items()}, metadata))


def read(path: Path) -> dict[str, Array]:
    """Read all arrays of a file; bfloat16 as uint16.

    Raises:
        SpecError: it is not a file of safetensors.
    """
    try:
        arrays: dict[str, Array] = load_file(path)
    except SafetensorError as error:
        raise SpecError(f"{path} is not a file of safetensors: {error}. Remove it and run it again.") from error
    return arrays
