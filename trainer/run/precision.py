"""How exactly a run computes: what the job file asks for, what the device supports, and the variables that set it."""

from trainer.errors import SpecError


def environment(stage: str, *, precision: str, deterministic: bool, device: str) -> dict[str, str]:
    """Return the environment variables by which Paddle and NVIDIA's libraries compute in a stage.

    TF32 rounds the factors of products to 10 bits, and Paddle has it on. With it, an exported network whose layers are
    fused differs from the trained one by far more than verify allows, so that it is on for training alone, and only
    where it is asked for or half of the bits are gone anyway.

    Args:
        stage: of the run.
        precision: `run.train.precision`.
        deterministic: `run.train.deterministic`.
        device: `cpu` or `gpu`.
    """
    if device == "cpu":
        return {}
    found = {}
    if stage != "train" or precision == "fp32":
        found["NVIDIA_TF32_OVERRIDE"] = "0"
    if deterministic:
        found |= {"FLAGS_cudnn_deterministic": "1", "FLAGS_embedding_deterministic": "1"}
    return found


def chosen(wanted: str, *, device: str, bfloat16: bool = True) -> str:
    """Return `fp32`, `tf32`, `fp16` or `bf16`.

    Args:
        wanted: `run.train.precision`; `auto` is the fastest that the device supports.
        device: `cpu` or `gpu`.
        bfloat16: whether the GPU supports that format. If it does, it supports TF32.

    Raises:
        SpecError: the device does not support the format.
    """
    if device == "cpu":
        if wanted in ("tf32", "fp16", "bf16"):
            raise SpecError(
                f"run.train.precision is {wanted!r}, but this run is on a CPU, which trains in fp32 only. Use `auto`."
            )
        return "fp32"
    if wanted in ("tf32", "bf16") and not bfloat16:
        raise SpecError(f"run.train.precision is {wanted!r}, which this GPU does not support. Use `auto` or fp32.")
    if wanted == "auto":
        return "bf16" if bfloat16 else "fp16"
    return wanted
