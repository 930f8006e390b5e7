"""What a person reads of each event."""

from typing import Any

import pytest
from msgspec import structs

from trainer.telemetry.events import (
    AttemptBegun,
    Checkpointed,
    Ended,
    Evaluated,
    Event,
    Failed,
    Machine,
    Notice,
    Progressed,
    Published,
    Ready,
    Refused,
    Rehearsed,
    Restarted,
    StageBegun,
    StageDone,
    StageSkipped,
    Started,
    Uploaded,
)
from trainer.telemetry.sentences import sentence

STARTED = Started(
    what="Training", samples=96, epochs=8, steps_per_epoch=12, batch=8, devices=2, precision="bf16"
)  # fmt: skip
REHEARSED = Rehearsed(
    batch=64, measured=64, step_seconds=2, run_seconds=3600, margin=0.25, host_memory_bytes=2_000_000,
    checkpoint_bytes=9_000,
)  # fmt: skip


@pytest.mark.parametrize(
    ("event", "words"),
    [
        (Ready(pid=1), ""),
        (StageBegun(stage="train"), ""),
        (StageDone(stage="train", seconds=75, summary="90 steps"), "90 steps (1m15s)"),
        (StageDone(stage="train", seconds=2), "(2.0 s)"),
        (StageSkipped(stage="train", reason="already done"), "already done"),
        (AttemptBegun(number=1), ""),
        (AttemptBegun(number=2), "Attempt 2 begins."),
        (Restarted(reason="peer-lost", message="Node 1 was lost."), "Node 1 was lost."),
        (
            REHEARSED,
            "Training takes 45m00s to 1h15m (a step of 64 samples 2.0 s); a worker 2.0 MB of memory; "
            "a checkpoint 9.0 kB.",
        ),
        (
            structs.replace(REHEARSED, measured=4, device_memory_bytes=5_000_000, readers=3),
            "Training takes 45m00s to 1h15m (a step of 64 samples 2.0 s, estimated from 4); a worker 2.0 MB of memory, "
            "5.0 MB of the device; a checkpoint 9.0 kB; 3 reader processes keep up.",
        ),
        (STARTED, "Training 96 samples, 8 epochs of 12 steps, batch 8 × 2 devices, bf16."),
        (
            Evaluated(step=24, epoch=2, metrics={"acc": 0.5, "norm_edit_dis": None}, best=False, seconds=3.1),
            "epoch 2, step 24, evaluated in 3.1 s: acc 0.5000, norm_edit_dis nan",
        ),
        (Checkpointed(step=24, seconds=0.5), "checkpoint at step 24 in 0.5 s"),
        (Uploaded(step=24, seconds=0.5), "checkpoint at step 24 uploaded in 0.5 s"),
        (Progressed(what="", done=3, total=9, unit="images"), "3/9 images"),
        (Progressed(what="verify", done=3, total=9), "verify 3/9"),
        (Progressed(what="pull", done=812, total=1_400_000, unit="bytes"), "pull 812 B of 1.4 MB"),
        (Progressed(what="", done=812, total=1_400_000, unit="bytes"), "812 B of 1.4 MB"),
        (Refused(count=1, examples={"a.jpg": "it is empty"}), "1 sample left out: a.jpg: it is empty"),
        (
            Refused(count=7, examples={"a.jpg": "it is empty", "b.jpg": "no file"}),
            "7 samples left out: a.jpg: it is empty; b.jpg: no file; and 5 more",
        ),
        (
            Published(model="s3://m#lines-1", files=5, bytes=2048),
            "Published s3://m#lines-1: 5 files, 2.0 kB.",
        ),
        (
            Published(model="s3://m#lines-1", files=5, bytes=2048, channel="production"),
            "Published s3://m#lines-1: 5 files, 2.0 kB, channel production.",
        ),
        (Notice(message="Two\nlines."), "Two lines."),
        (Failed(rank=1, code=44, message="The loss is NaN."), "rank 1: The loss is NaN."),
        (Failed(code=44, message="The loss is NaN."), "The loss is NaN."),
        (Ended(code=0), ""),
        (Ended(code=43, message="hmean is 0.5."), "error: hmean is 0.5."),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Event) else "",
)
def test_every_event_is_a_sentence(event: Event, words: str) -> None:
    assert sentence(event) == words


_CPU = {
    "paddle": {"version": "3.2.2", "cuda": None, "cudnn": None, "nccl": None},
    "driver": {"version": None, "cuda": None, "devices": [], "error": "", "code": 0},
    "cores": 1,
    "cpu_limit": None,
    "memory": 25_000_000_000,
    "memory_limit": None,
    "shared_memory": 64_000_000,
    "memlock": 8_000_000,
}
_A100 = {"name": "A100", "memory": 85_000_000_000, "capability": [8, 0]}
_GPU = {
    **_CPU,
    "paddle": {"version": "3.2.2", "cuda": "12.6", "cudnn": "9.5.1", "nccl": "2.25.1"},
    "driver": {"version": "550.54.14", "cuda": "12.4", "devices": [_A100, _A100], "error": "", "code": 0},
    "cores": 96,
    "cpu_limit": 8.5,
    "memory_limit": 9_000_000_000,
    "shared_memory": None,
    "memlock": None,
}


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        (
            _CPU,
            "This node has PaddlePaddle 3.2.2 for CPUs; 1 core, 25.0 GB of memory, 64.0 MB in /dev/shm, memlock 8.0 "
            "MB.",
        ),
        (
            _GPU,
            "This node has 2 × A100 (85.0 GB), driver 550.54.14; PaddlePaddle 3.2.2 with CUDA 12.6, cuDNN 9.5.1, NCCL "
            "2.25.1; 96 cores (limit 8.5), 9.0 GB of memory, memlock unlimited.",
        ),
        (
            {**_CPU, "paddle": None, "driver": {"version": None, "devices": [], "error": "no answer within 120 s"}},
            "This node has a CUDA driver that does not work (no answer within 120 s); no PaddlePaddle; 1 core, 25.0 GB "
            "of memory, 64.0 MB in /dev/shm, memlock 8.0 MB.",
        ),
    ],
    ids=["CPUs", "GPUs", "a broken driver"],
)
def test_a_node_says_what_it_has(facts: dict[str, Any], words: str) -> None:
    assert sentence(Machine(machine=facts)) == words


def test_training_that_goes_on_says_from_where() -> None:
    resumed = Started(
        what="Training", samples=9, epochs=1, steps_per_epoch=9, batch=1, devices=1, precision="fp32", step=5
    )
    assert sentence(resumed).endswith("fp32, resuming after step 5.")
