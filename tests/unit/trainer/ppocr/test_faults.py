"""A device that fails is retried, and a batch that is too large is not: by the texts of Paddle's exceptions."""

import os
import sys
from pathlib import Path

import pytest

from trainer.errors import SpecError, TransientError
from trainer.node.supervisor import Supervisor
from trainer.ppocr import faults
from trainer.run.assignment import DeadlineSeconds
from trainer.run.topology import Topology

MEMORY = (
    "\n\n--------------------------------------\nC++ Traceback (most recent call last):\n...\n"
    "ResourceExhaustedError: \n\nOut of memory error on GPU 0. Cannot allocate 20.507812MB memory on GPU 0, 23.6GB "
    "memory has been allocated and available memory is only 17.4MB.\n"
)
FAULT = (
    "(External) CUDA error(700), an illegal memory access was encountered. \n"
    "  [Hint: 'cudaErrorIllegalAddress'. ...] (at ../paddle/phi/backends/gpu/cuda/cuda_info.cc:259)\n"
)


@pytest.mark.parametrize(
    "text",
    [
        MEMORY,
        "(External) CUDA error(2), out of memory. ",
        "(External) CUBLAS error(3), CUBLAS_STATUS_ALLOC_FAILED.",
        "(External) CUDNN error(2), CUDNN_STATUS_ALLOC_FAILED.",
    ],
    ids=["Paddle's allocator", "CUDA", "cuBLAS", "cuDNN"],
)
def test_a_device_without_memory_is_a_matter_of_the_batch(text: str) -> None:
    failed = faults.known(MemoryError(text), batch=256)
    assert isinstance(failed, SpecError)
    assert "Lower run.train.batchSizePerDevice" in str(failed)
    assert "It is 256 now." in str(failed)
    assert "now" not in str(faults.known(MemoryError(text)))


@pytest.mark.parametrize(
    ("text", "named"),
    [
        (FAULT, "CUDA error(700), an illegal memory access was encountered."),
        ("(External) CUDA error(719), unspecified launch failure.", "CUDA error(719), unspecified launch failure."),
        ("(External) CUDNN error(8), CUDNN_STATUS_EXECUTION_FAILED.", "CUDNN error(8), CUDNN_STATUS_EXECUTION_FAILED."),
        ("(External) CUBLAS error(13). ", "CUBLAS error(13)."),
        ("(External) NCCL error(6), remote process exited.", "NCCL error(6), remote process exited."),
    ],
)
def test_a_device_that_fails_is_worth_a_retry_and_named(text: str, named: str) -> None:
    failed = faults.known(OSError(text), batch=256)
    assert isinstance(failed, TransientError)
    assert str(failed).startswith(f"A device or its network failed: {named}")


@pytest.mark.parametrize(
    "text",
    ["(External) CUDA error(209), no kernel image is available for execution on the device.", "CUDA error(35), …"],
)
def test_a_paddle_for_other_devices_is_not_tried_again(text: str) -> None:
    failed = faults.known(OSError(text))
    assert isinstance(failed, SpecError)
    assert "not built for this GPU or its driver" in str(failed)


@pytest.mark.parametrize(
    "error",
    [
        ValueError("(InvalidArgument) The shape is wrong."),
        OSError(28, "No space left on device"),
        MemoryError(),
        RuntimeError("an error of the CUDA team"),
    ],
    ids=repr,
)
def test_other_errors_are_not_a_devices(error: Exception) -> None:
    assert faults.known(error) is None


@pytest.mark.parametrize(
    ("kind", "text", "expected"),
    [("MemoryError", MEMORY, SpecError), ("OSError", FAULT, TransientError)],
    ids=["no memory", "a fault"],
)
def test_a_worker_ends_with_that_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, text: str, expected: type[Exception]
) -> None:
    """A real worker, in which a stand-in for Paddle raises what Paddle would."""
    package = tmp_path / "packages" / "paddle"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(f"def set_device(device):\n    raise {kind}({text!r})\n")
    (package / "distributed.py").touch()
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(package.parent), *sys.path]))
    node = Supervisor(Topology(device="gpu"), deadlines=DeadlineSeconds(), hear=lambda event: None)
    with pytest.raises(expected, match=r"^A (GPU ran out of memory|device or its network failed)"):
        node.run("train", workdir=tmp_path, log=lambda rank: tmp_path / f"{rank}.log")
