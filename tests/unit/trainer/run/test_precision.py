"""Which number format a run trains in."""

import pytest

from trainer.errors import SpecError
from trainer.run.precision import chosen, environment


@pytest.mark.parametrize(
    ("wanted", "device", "bfloat16", "format"),
    [
        ("fp32", "cpu", False, "fp32"),
        ("auto", "cpu", True, "fp32"),
        ("fp32", "gpu", True, "fp32"),
        ("fp32", "gpu", False, "fp32"),
        ("tf32", "gpu", True, "tf32"),
        ("fp16", "gpu", True, "fp16"),
        ("bf16", "gpu", True, "bf16"),
        ("auto", "gpu", True, "bf16"),
        ("auto", "gpu", False, "fp16"),
    ],
)
def test_the_format_is_what_is_asked_for_or_the_best_there_is(wanted, device, bfloat16, format):
    assert chosen(wanted, device=device, bfloat16=bfloat16) == format


@pytest.mark.parametrize(
    ("wanted", "device", "says"),
    [
        ("fp16", "cpu", "this run is on a CPU"),
        ("bf16", "cpu", "this run is on a CPU"),
        ("tf32", "cpu", "this run is on a CPU"),
        ("tf32", "gpu", "this GPU does not support"),
        ("bf16", "gpu", "this GPU does not support"),
    ],
)
def test_what_the_device_has_not_is_refused(wanted, device, says):
    with pytest.raises(SpecError, match=says):
        chosen(wanted, device=device, bfloat16=False)


DETERMINISTIC = {"FLAGS_cudnn_deterministic": "1", "FLAGS_embedding_deterministic": "1"}


@pytest.mark.parametrize("stage", ["evaluate", "export", "verify"])
@pytest.mark.parametrize("precision", ["fp32", "tf32", "fp16", "bf16", "auto"])
def test_a_trained_model_is_read_without_tf32_however_it_was_trained(stage, precision):
    """Else the exported network, whose layers are fused, differs by more than verify allows."""
    found = environment(stage, precision=precision, deterministic=False, device="gpu")
    assert found == {"NVIDIA_TF32_OVERRIDE": "0"}


@pytest.mark.parametrize(
    ("precision", "variables"),
    [("fp32", {"NVIDIA_TF32_OVERRIDE": "0"}), ("tf32", {}), ("fp16", {}), ("bf16", {}), ("auto", {})],
)
def test_training_in_fp32_is_without_tf32(precision, variables):
    assert environment("train", precision=precision, deterministic=False, device="gpu") == variables


@pytest.mark.parametrize("stage", ["train", "evaluate", "export", "verify"])
def test_a_deterministic_run_uses_deterministic_algorithms_in_every_stage(stage):
    found = environment(stage, precision="bf16", deterministic=True, device="gpu")
    assert found.items() >= DETERMINISTIC.items()


def test_a_cpu_needs_no_variable():
    assert environment("verify", precision="fp32", deterministic=True, device="cpu") == {}
