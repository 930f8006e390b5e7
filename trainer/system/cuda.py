"""What the CUDA driver reports: its version and its devices. `python -m trainer.system.cuda` prints it as JSON.

It asks the driver's own library, libcuda, which every container with a GPU has. nvidia-smi and NVML are missing from
containers whose NVIDIA_DRIVER_CAPABILITIES is `compute`.
"""

import ctypes
import json
import sys
from typing import Any, Final

_LIBRARY: Final = "libcuda.so.1"
_MAJOR: Final = 75
_MINOR: Final = 76
"""CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR and _MINOR of cuda.h."""


class DriverError(Exception):
    """A call of the driver failed."""

    def __init__(self, code: int, name: str) -> None:
        super().__init__(f"{name} ({code})")
        self.code = code


def report(library: str = _LIBRARY) -> dict[str, Any]:
    """Return `cuda`, the newest CUDA that the driver supports, and `devices`; or the `error`, with its `code`.

    Args:
        library: the driver's library; without it there is neither a version nor a device.
    """
    try:
        cuda = ctypes.CDLL(library)
    except OSError:
        return {"cuda": None, "devices": []}
    try:
        _check(cuda, cuda.cuInit(0))
        version, count = ctypes.c_int(), ctypes.c_int()
        _check(cuda, cuda.cuDriverGetVersion(ctypes.byref(version)))
        _check(cuda, cuda.cuDeviceGetCount(ctypes.byref(count)))
        supported = f"{version.value // 1000}.{version.value % 1000 // 10}"
        return {"cuda": supported, "devices": [_device(cuda, number) for number in range(count.value)]}
    except DriverError as error:
        return {"cuda": None, "devices": [], "error": str(error), "code": error.code}


def _device(cuda: ctypes.CDLL, number: int) -> dict[str, Any]:
    handle, memory, name = ctypes.c_int(), ctypes.c_size_t(), ctypes.create_string_buffer(256)
    major, minor = ctypes.c_int(), ctypes.c_int()
    _check(cuda, cuda.cuDeviceGet(ctypes.byref(handle), number))
    _check(cuda, cuda.cuDeviceGetName(name, len(name), handle))
    _check(cuda, cuda.cuDeviceTotalMem_v2(ctypes.byref(memory), handle))
    _check(cuda, cuda.cuDeviceGetAttribute(ctypes.byref(major), _MAJOR, handle))
    _check(cuda, cuda.cuDeviceGetAttribute(ctypes.byref(minor), _MINOR, handle))
    return {
        "name": name.value.decode("utf-8", "replace"),
        "memory": memory.value,
        "capability": [major.value, minor.value],
    }


def _check(cuda: ctypes.CDLL, code: int) -> None:
    if code == 0:
        return
    name = ctypes.c_char_p()
    cuda.cuGetErrorName(code, ctypes.byref(name))
    raise DriverError(code, (name.value or b"an unknown error").decode("ascii", "replace"))


if __name__ == "__main__":
    sys.stdout.write(json.dumps(report()))
