"""The number format of the forward pass: what the job file asks for, and what the device supports."""

from trainer.errors import SpecError


def chosen(wanted: str, *, device: str, bfloat16: bool = True) -> str:
    """Return `fp32`, `fp16` or `bf16`.

    Args:
        wanted: `run.train.precision`; `auto` is the fastest that the device supports.
        device: `cpu` or `gpu`.
        bfloat16: whether the GPU supports that format.

    Raises:
        SpecError: the device does not support the format.
    """
    if device == "cpu":
        if wanted in ("fp16", "bf16"):
            raise SpecError(
                f"run.train.precision is {wanted!r}, but this run is on a CPU, which trains in fp32 only. Use `auto`."
            )
        return "fp32"
    if wanted == "bf16" and not bfloat16:
        raise SpecError("run.train.precision is 'bf16', which this GPU does not support. Use `auto` or fp16.")
    if wanted == "auto":
        return "bf16" if bfloat16 else "fp16"
    return wanted
