"""Named arrays in a file of safetensors."""

import errno
from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open

from trainer.errors import SpecError
from trainer.weights import arrays


@pytest.mark.parametrize("kind", ["float16", "float32", "float64", "uint16", "int64", "bool"])
def test_arrays_come_back_with_type_shape_and_every_bit(tmp_path: Path, kind: str) -> None:
    numbers = np.random.default_rng(1).normal(0, 9, (3, 4)).astype(kind)
    written = {
        "matrix": numbers,
        "turned": numbers.T,
        "single": np.array(numbers[0, 0]),
        "none": np.zeros((0, 2), kind),
        "é/ ": numbers[:1],
    }
    arrays.write(tmp_path / "x.safetensors", written)
    found = arrays.read(tmp_path / "x.safetensors")
    assert found.keys() == written.keys()
    for name, value in written.items():
        assert (found[name].dtype, found[name].shape) == (value.dtype, value.shape), name
        assert np.array_equal(found[name], value), name


def test_numbers_that_are_none_come_back_with_every_bit(tmp_path: Path) -> None:
    odd = np.array([0x7FC00001, 0xFF800000, 0x80000000, 1], np.uint32).view(np.float32)
    arrays.write(tmp_path / "x", {"odd": odd})
    assert arrays.read(tmp_path / "x")["odd"].tobytes() == odd.tobytes()


def test_no_array_at_all_is_a_file_too(tmp_path: Path) -> None:
    arrays.write(tmp_path / "x", {})
    assert arrays.read(tmp_path / "x") == {}


def test_bfloat16_is_named_for_other_readers(tmp_path: Path) -> None:
    arrays.write(tmp_path / "x", {"a": np.ones(2, np.uint16), "b": np.ones(2, np.uint16)}, bfloat16=["b", "a"])
    with safe_open(tmp_path / "x", "numpy") as file:  # type: ignore[no-untyped-call]
        assert file.metadata() == {"bfloat16": "a b"}


def test_a_full_disk_is_told_as_every_other_file_tells_it() -> None:
    """Only then is it said in words, with the exit code of a full disk."""
    with pytest.raises(OSError) as error:  # noqa: PT011
        arrays.write(Path("/dev/full"), {"a": np.ones(9)})
    assert error.value.errno == errno.ENOSPC


@pytest.mark.parametrize("content", [b"", b"\x80\x04N.", b"\xff" * 8 + b"{}", b"\x02" + b"\0" * 7 + b"[]"])
def test_another_file_is_refused_by_name(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.safetensors").write_bytes(content)
    with pytest.raises(SpecError, match=r"x\.safetensors is not a file of safetensors"):
        arrays.read(tmp_path / "x.safetensors")
