"""A CUDA driver without devices: a library with the calls that are made of it, and a Paddle built for it."""

import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Final

_SOURCE: Final = """
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
typedef int Result;
Result cuInit(unsigned flags) { BEFORE; return flags ? 1 : CODE; }
Result cuDriverGetVersion(int *version) { *version = 12040; return 0; }
Result cuDeviceGetCount(int *count) { *count = COUNT; return 0; }
Result cuDeviceGet(int *device, int ordinal) { *device = 40 + ordinal; return 0; }
Result cuDeviceGetName(char *name, int length, int device) {
    strncpy(name, device == 40 ? "NVIDIA A100-SXM4-80GB" : "Tesla T4", length);
    return 0;
}
Result cuDeviceTotalMem_v2(size_t *bytes, int device) { *bytes = device == 40 ? 85000000000 : 16000000000; return 0; }
Result cuDeviceGetAttribute(int *value, int attribute, int device) {
    *value = attribute == 75 ? (device == 40 ? 8 : 7) : attribute == 76 ? (device == 40 ? 0 : 5) : -1;
    return 0;
}
Result cuGetErrorName(Result code, const char **name) {
    *name = code == 100 ? "CUDA_ERROR_NO_DEVICE" : "CUDA_ERROR_SYSTEM_NOT_READY";
    return 0;
}
"""


def library(folder: Path, *, devices: int = 1, code: int = 0, before: str = "") -> Path:
    """Compile a `libcuda.so.1` into a folder, and return the file; with the folder in LD_LIBRARY_PATH it is found.

    Args:
        folder: made if it is missing.
        devices: how many it has: an A100, then T4s.
        code: what cuInit returns.
        before: what cuInit does first, in C.
    """
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / "libcuda.so.1"
    options = [f"-DCOUNT={devices}", f"-DCODE={code}", f"-DBEFORE={before}", "-x", "c", "-", "-o", str(target)]
    subprocess.run(["cc", "-shared", "-fPIC", *options], input=_SOURCE, text=True, check=True)
    return target


def paddle(folder: Path, lines: Sequence[str]) -> Path:
    """Write a package `paddle` of which only the file of versions is real; return the folder for `sys.path`."""
    versions = folder / "paddle" / "version" / "__init__.py"
    versions.parent.mkdir(parents=True)
    versions.write_text("".join(f"{line}\n" for line in lines), "utf-8")
    (folder / "paddle" / "__init__.py").write_text("raise AssertionError('Paddle is not to be imported')\n")
    return folder


FOR_CUDA: Final = (
    "full_version     = '3.2.2'",
    "nccl_version     = '22703'",
    "cuda_version     = '12.6'",
    "cudnn_version    = '9.5.1'",
)
FOR_CPU: Final = (
    "full_version     = '3.2.2'",
    "nccl_version     = '0'",
    "cuda_version     = 'False'",
    "cudnn_version    = 'False'",
)
