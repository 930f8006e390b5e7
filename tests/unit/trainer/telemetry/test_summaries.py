"""The one line that a finished stage leaves on the screen."""

from typing import Any

import pytest

from trainer.telemetry.summaries import summary

FACTS: dict[str, dict[str, Any]] = {
    "fetch": {
        "train": {"files": 3, "bytes": 2048, "uri": "s3://data/"},
        "weights": {"teacher": {"run": "lines-1"}, "pretrained": {"run": None}},
    },
    "prepare": {"samples": {"train": 6, "eval": 2}, "characters": 63, "refused": 1},
    "rehearse": {"paddleocr": "3.7.0"},
    "train": {"steps": 90, "best": {"step": 60, "metrics": {"acc": 0.5}}},
    "evaluate": {"metrics": {"acc": 0.5}, "samples": 10, "split": "test"},
    "export": {"model_name": "PP-OCRv3_mobile_rec", "bytes": 2048},
    "verify": {"paddleocr": {"version": "3.7.0", "samples": 4}},
}
NEEDED = {
    "fetch": ("3 files", "s3://data/", "teacher of run lines-1"),
    "prepare": ("train 6, eval 2", "63 characters", "1 refused"),
    "rehearse": ("paddleocr 3.7.0",),
    "train": ("90 steps", "step 60", "acc 0.5000"),
    "evaluate": ("acc 0.5000", "10 samples", "test"),
    "export": ("PP-OCRv3_mobile_rec",),
    "verify": ("3.7.0", "4 samples"),
}


@pytest.mark.parametrize("stage", FACTS)
def test_every_stage_has_a_line_with_what_it_found(stage: str) -> None:
    line = summary(stage, FACTS[stage])
    assert [part for part in NEEDED[stage] if part not in line] == []
    assert "\n" not in line


def test_what_a_stage_has_not_is_not_mentioned() -> None:
    assert "pretrained" not in summary("fetch", FACTS["fetch"])
    assert "characters" not in summary("prepare", {**FACTS["prepare"], "characters": 0})
    assert summary("publish", {}) == "", "an event of its own says it"
