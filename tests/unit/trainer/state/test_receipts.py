"""Receipts: when a stage counts as done."""

import pytest

from trainer.run.workdir import WorkDir
from trainer.state.receipts import Receipt, files_of, measure


@pytest.fixture
def work(tmp_path):
    work = WorkDir(tmp_path)
    work.trained.mkdir()
    work.best_weights.write_bytes(b"weights")
    work.training_facts.write_text("{}")
    return work


@pytest.fixture
def receipt(work):
    made = Receipt(
        stage="train",
        fingerprint="a" * 64,
        outputs=measure(work, files_of(work, work.trained)),
        facts={"steps": 3},
        seconds=1.5,
    )
    made.write(work)
    return made


def test_a_receipt_read_back_is_the_same(work, receipt):
    assert Receipt.read(work, "train") == receipt


def test_a_stage_without_a_receipt_has_none(work):
    assert Receipt.read(work, "export") is None


def test_a_receipt_holds_while_everything_is_as_it_was(work, receipt):
    assert receipt.holds(work, fingerprint="a" * 64)


@pytest.mark.parametrize(
    "hurt",
    [
        pytest.param(lambda work: work.best_weights.unlink(), id="output gone"),
        pytest.param(lambda work: work.best_weights.write_bytes(b"weighty"), id="same size, other bytes"),
    ],
)
def test_a_receipt_is_void_when_an_output_changed(work, receipt, hurt):
    hurt(work)
    assert not receipt.holds(work, fingerprint="a" * 64)


def test_a_receipt_is_void_when_the_inputs_changed(work, receipt):
    assert not receipt.holds(work, fingerprint="b" * 64)


def test_outputs_are_named_by_content(work, receipt):
    work.best_weights.write_bytes(b"other")
    other = Receipt(
        stage="train", fingerprint="a" * 64, outputs=measure(work, files_of(work, work.trained)), facts={}, seconds=9.0
    )
    assert receipt.identity != other.identity


def test_a_dataset_is_named_by_its_own_digest():
    """So that nodes whose folders differ in what does not matter agree on what comes next."""
    made = Receipt(stage="prepare", fingerprint="", outputs={}, facts={"digest": "d" * 64}, seconds=0.0)
    assert made.identity == "d" * 64


STRANGE = {
    "empty": b"",
    "not UTF-8": b"\xff",
    "nested too deeply": b"[" * 100_000,
    "a list": b"[]",
    "fields missing": b'{"stage": "train"}',
    "another stage": b'{"stage": "export", "fingerprint": "", "outputs": {}, "facts": {}, "seconds": 1}',
    "a stage that climbs": b'{"stage": "../x", "fingerprint": "", "outputs": {}, "facts": {}, "seconds": 1}',
    "an output that climbs": (
        b'{"stage": "train", "fingerprint": "", "outputs": {"../x": {"size": 1}}, "facts": {}, "seconds": 1}'
    ),
    "an absolute output": (
        b'{"stage": "train", "fingerprint": "", "outputs": {"/tmp/x": {"size": 1}}, "facts": {}, "seconds": 1}'
    ),
    "outputs that are a list": b'{"stage": "train", "fingerprint": "", "outputs": [], "facts": {}, "seconds": 1}',
}


@pytest.mark.parametrize("data", STRANGE.values(), ids=STRANGE)
def test_what_is_no_receipt_of_the_stage_counts_as_none_and_is_logged(work, data, caplog):
    path = work.receipt("train")
    path.parent.mkdir(parents=True)
    path.write_bytes(data)
    assert Receipt.read(work, "train") is None
    (record,) = caplog.records
    assert record.getMessage().startswith(f"{path} is not a receipt of stage train and is ignored: ")
