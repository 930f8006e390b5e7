"""Which exceptions of Paddle mean that a device failed, told by their texts: their types say too little.

Paddle raises MemoryError or OSError with texts such as `(External) CUDA error(700), an illegal memory access was
encountered.`; errors of CUDA, cuDNN, cuBLAS and NCCL all have this form.
"""

import re
from typing import Final

from trainer.errors import OcrfleetError, SpecError, TransientError

_MEMORY: Final = re.compile(
    r"Out of memory error on GPU|CUDA error ?\(2\)|CUDA out of memory|(CUBLAS|CUDNN)_STATUS_ALLOC_FAILED"
)
_WRONG_BUILD: Final = re.compile(r"no kernel image is available|CUDA error ?\((209|35)\)")
_DEVICE: Final = re.compile(r"\b(CUDA|CUDNN|CUBLAS|CUBLASLT|CUSOLVER|CUSPARSE|CUFFT|CURAND|NCCL) error ?\(\d+\)[^\n]*")


def known(error: BaseException, *, batch: int | None = None) -> OcrfleetError | None:
    """Return the error for the failure of a device; None for any other.

    Args:
        error: what Paddle raised.
        batch: samples that a device gets in a step, if known.
    """
    text = str(error)
    if _MEMORY.search(text):
        now = f" It is {batch} now." if batch else ""
        return SpecError(
            f"A GPU ran out of memory. Lower run.train.batchSizePerDevice, or choose a GPU with more memory.{now}"
        )
    if _WRONG_BUILD.search(text):
        return SpecError(
            "PaddlePaddle is not built for this GPU or its driver. Build the image for another CUDA: `make image-gpu "
            "CUDA=12.9` is for Blackwell, `CUDA=11.8` for older drivers."
        )
    if found := _DEVICE.search(text):
        return TransientError(
            f"A device or its network failed: {found[0].rstrip('. ')}. Run it again to resume from the last "
            "checkpoint. If it fails again on the same machine, look at its devices (`nvidia-smi`, `dmesg`)."
        )
    return None
