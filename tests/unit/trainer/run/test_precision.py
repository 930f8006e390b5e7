"""Which number format a run trains in."""

import pytest

from trainer.errors import SpecError
from trainer.run.precision import chosen


@pytest.mark.parametrize(
    ("wanted", "device", "bfloat16", "format"),
    [
        ("fp32", "cpu", False, "fp32"),
        ("auto", "cpu", True, "fp32"),
        ("fp32", "gpu", True, "fp32"),
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
        ("bf16", "gpu", "this GPU does not support"),
    ],
)
def test_what_the_device_has_not_is_refused(wanted, device, says):
    with pytest.raises(SpecError, match=says):
        chosen(wanted, device=device, bfloat16=False)
