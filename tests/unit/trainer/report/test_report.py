"""The report: whole, self-contained, safe against what labels hold, and honest about what went wrong."""

import json
from pathlib import Path

import pytest

from tests.unit.trainer.report.made import dump, rec_row, work_of, write


def test_both_forms_say_metrics_dataset_refusals_and_proof(tmp_path: Path) -> None:
    html, markdown = write(work_of(tmp_path, "rec", [rec_row("ab", "ab")]), "rec")
    for words in (
        "0.5000",
        "norm_edit_dis",
        "1,200",
        "3 and the space",
        "the dictionary lacks characters of the label",
        "Label.txt:0, Label.txt:1, Label.txt:2 and 6 more",
        "paddleocr 3.7.0 reads the same text as the trained model on 3 of 3 lines",
        "rec-x",
        "receipts-0a1b2c3d",
    ):
        assert words in html
        assert words in markdown


def test_samples_left_out_while_training_are_accounted_for(tmp_path: Path) -> None:
    work = work_of(tmp_path, "rec", [rec_row("a", "a")])
    assert "Refused during training" not in write(work, "rec")[0]
    facts = json.loads(work.training_facts.read_text("utf-8"))
    batch = {"epoch": 3, "step": 1204, "samples": [f"Label.txt:{n}" for n in range(8)], "reason": "the loss is nan"}
    refused = {f"Label.txt:{n}": "the image cannot be decoded" for n in range(4)}
    dump(work.training_facts, {**facts, "skipped_batches": [batch], "refused": refused})
    html, markdown = write(work, "rec")
    places = "Label.txt:0, Label.txt:1, Label.txt:2 and"
    assert f"| 3 | 1,204 | the loss is nan | 8 | {places} 5 more |" in markdown
    assert f"| the image cannot be decoded | 4 | {places} 1 more |" in markdown
    assert "Skipped batches" in html
    assert "Refused during training" in html


def test_what_a_device_waited_for_samples_is_among_the_facts(tmp_path: Path) -> None:
    work = work_of(tmp_path, "rec", [rec_row("a", "a")])
    facts = json.loads(work.training_facts.read_text("utf-8"))
    dump(work.training_facts, {**facts, "reading": {"seconds": 200.0, "reader_wait_seconds": 68.5}})
    assert "| waiting for samples | 34 % of the time |" in write(work, "rec")[1]
    dump(work.training_facts, {**facts, "reading": {"seconds": 0.0, "reader_wait_seconds": 0.0}})
    assert "waiting for samples" not in write(work, "rec")[1]


def test_a_model_that_was_not_verified_is_not_said_to_be(tmp_path: Path) -> None:
    work = work_of(tmp_path, "rec", [rec_row("a", "a")])
    work.verification_facts.unlink()
    html, markdown = write(work, "rec")
    assert "has not been verified" in html
    assert "Not verified." in markdown


def test_writing_again_leaves_nothing_of_the_last_report(tmp_path: Path) -> None:
    work = work_of(tmp_path, "rec", [rec_row(str(n), str(n)) for n in range(5)])
    write(work, "rec")
    work.predictions.write_text(json.dumps(rec_row("a", "a")) + "\n", "utf-8")
    write(work, "rec")
    assert [path.name for path in sorted(work.report.glob("line-*"))] == ["line-01.png"]


def test_an_image_that_cannot_be_shown_is_named_and_costs_no_run(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    work = work_of(tmp_path, "rec", [rec_row("a", "a"), {**rec_row("b", "c"), "image": "y.png"}])
    (work.prepared / "y.png").write_bytes(b"no image")
    html, _ = write(work, "rec")
    assert [path.name for path in work.report.glob("line-*")] == ["line-02.png"]
    assert "line-02.png" in html
    assert "line-01.png" not in html
    assert "y.png': the file is not an image" in caplog.text
