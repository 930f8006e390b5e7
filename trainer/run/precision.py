"""The number format of the forward pass: what is asked for, and what the device has."""

from trainer.errors import SpecError


def chosen(wanted: str, *, device: str, bfloat16: bool = True) -> str:
    """Give `fp32`, `fp16` or `bf16`.

    Args:
        wanted: `run.train.precision`; `auto` is the fastest that the device has.
        device: `cpu` or `gpu`.
        bfloat16: whether the GPU has that format.

    Raises:
        SpecError: the device has not what is asked for.
    """
    if device == "cpu":
        if wanted in ("fp16", "bf16"):
            raise SpecError(
                f"run.train.precision is {wanted!r}, and this run is on CPU, which trains in fp32: use `auto`."
            )
        return "fp32"
    if wanted == "bf16" and not bfloat16:
        raise SpecError("run.train.precision is 'bf16', which this GPU has not: use `auto`, or fp16.")
    if wanted == "auto":
        return "bf16" if bfloat16 else "fp16"
    return wanted
