"""Which lines of a leader only say how far it is, as the trainer's own progress writes them, and how they fit."""

import io
from typing import Any

import pytest

from jobs.runs import progress_lines
from trainer.telemetry.progress import Progress

STEP: dict[str, Any] = {
    "event": "step", "rank": 0, "step": 4, "steps": 32, "epoch": 1, "epochs": 8, "loss": {"loss": 61.43}, "lr": 1e-3,
    "samples": 8, "seconds": 0.9, "reader_seconds": 0.0,
}  # fmt: skip
EVAL: dict[str, Any] = {
    "event": "eval", "rank": 0, "step": 4, "epoch": 1, "metrics": {"acc": 0.5, "norm_edit_dis": 0.7}, "seconds": 0.4,
}  # fmt: skip


def written() -> tuple[list[str], list[str]]:
    """Give what a trainer writes in a pipe: how far it is, and all else."""
    stream = io.StringIO()
    shown = Progress(stream, every=0)
    far, other = [], []

    def lines(into: list[str]) -> None:
        into += stream.getvalue().splitlines()
        stream.seek(0)
        stream.truncate()

    shown.stage("train")
    lines(other)
    shown.show(STEP)
    shown.show({"event": "progress", "rank": 0, "what": "evaluate", "done": 3, "total": 9, "unit": "images"})
    shown.show({"event": "progress", "rank": 0, "what": "verify", "done": 3, "total": 9})
    shown.show({"event": "progress", "what": "train", "done": 3, "total": 9, "unit": "images"})
    shown.transfer("fetch", 812, 1_400_000)
    lines(far)
    shown.show(EVAL)
    lines(other)
    shown.show(STEP | {"step": 5})
    lines(far)
    shown.show({"event": "checkpoint", "step": 4, "seconds": 0.1})
    shown.show({"event": "notice", "message": "3/9 samples are refused"})
    shown.done("train", 12.0, "best acc 0.5000 at step 4")
    shown.skipped("export", "done before")
    shown.line("error: Node 1 is lost. The gang meets again, and goes on from the last checkpoint.")
    lines(other)
    return far, other


def test_what_a_trainer_writes_is_known_for_what_it_is() -> None:
    far, other = written()
    assert len(far) == 6
    assert [line for line in far if progress_lines.progress(line) is None] == []
    assert len(other) == 7
    assert [line for line in other if progress_lines.progress(line)] == []


def test_a_stage_begins_and_ends_with_a_line_of_its_own() -> None:
    far, other = written()
    assert [line.split(" ", 1)[1] for line in (*far, *other) if progress_lines.turns(line)] == [
        "...",
        "done in 12 s: best acc 0.5000 at step 4",
        "skipped: done before",
    ]


def test_the_share_of_steps_counts_and_bytes() -> None:
    far, _ = written()
    shares = [found.share for line in far if (found := progress_lines.progress(line))]
    assert shares == pytest.approx([4 / 32, 1 / 3, 1 / 3, 1 / 3, 812 / 1.4e6, 5 / 32])


@pytest.mark.parametrize(
    ("width", "shown"),
    [
        (160, " 37% train: epoch 120/320, step 12000/32000, loss 61.43, acc 0.5000, 8.72 samples/s, 3h20m left"),
        (80, " 37% train: epoch 120/320, step 12000/32000, loss 61.43, acc 0.5000, 3h20m left"),
        (77, " 37% train: step 12000/32000, loss 61.43, acc 0.5000, 3h20m left"),
        (60, " 37% train: step 12000/32000, acc 0.5000, 3h20m left"),
        (50, " 37% train: step 12000/32000, acc 0.5000"),
        (20, " 37% train: step 12…"),
    ],
)
def test_what_matters_least_goes_first(width: int, shown: str) -> None:
    line = "train: epoch 120/320, step 12000/32000, loss 61.43, acc 0.5000, 8.72 samples/s, 3h20m left"
    found = progress_lines.progress(line)
    assert found
    assert found.fitted(width) == shown
    assert len(shown) <= width


def test_a_count_is_cut_where_it_has_to_be() -> None:
    found = progress_lines.progress("evaluate 3/9 images")
    assert found
    assert (found.fitted(80), found.fitted(12)) == (" 33% evaluate 3/9 images", " 33% evalua…")


def test_of_the_past_only_the_last_progress_is_worth_reading() -> None:
    far, other = written()
    assert list(progress_lines.past([*far, *other])) == other
    assert list(progress_lines.past([*other, *far])) == [*other, far[-1]]
    assert list(progress_lines.past([])) == []


@pytest.mark.parametrize("line", ["", "a 1/0", "x 0/0 images", "train: epoch 1/8, step 1/0, loss 1", "1/2", "é" * 99])
def test_lines_of_any_shape_are_read(line: str) -> None:
    found = progress_lines.progress(line)
    assert found is None or found.share == 1
