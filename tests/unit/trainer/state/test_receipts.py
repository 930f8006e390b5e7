"""Receipts: when a stage counts as done."""

import json

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


@pytest.mark.parametrize("flipped", [0x01, 0x80])
def test_a_changed_byte_of_a_receipt_gives_no_error(work, receipt, flipped):
    """Most changed receipts hold no more, and those that do differ in facts."""
    path = work.receipt("train")
    whole = path.read_bytes()
    for place in range(len(whole)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ flipped]) + whole[place + 1 :])
        found = Receipt.read(work, "train")
        assert found is None or found.stage == "train"


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"stage": "../../../../tmp/x"}, id="stage outside"),
        pytest.param({"stage": "evaluate"}, id="another stage"),
        pytest.param({"outputs": {"../../escaped": {"size": 1, "sha256": "0"}}}, id="output outside"),
        pytest.param({"outputs": {"trained/../../escaped": {"size": 1, "sha256": "0"}}}, id="output outside, below"),
        pytest.param({"outputs": {"/etc/passwd": {"size": 1, "sha256": "0"}}}, id="absolute"),
        pytest.param({"outputs": {"prepared/train.jsonl": {"size": 1, "sha256": "0"}}}, id="output of another stage"),
        pytest.param({"outputs": {"configuration.yml": {"size": 1, "sha256": "0"}}}, id="output of no stage"),
        pytest.param({"outputs": {"trained" + "/x" * 3000: {"size": 1, "sha256": "0"}}}, id="too long for a path"),
        pytest.param({"outputs": []}, id="outputs of another type"),
        pytest.param({"facts": None}, id="facts of another type"),
        pytest.param({"seconds": "1"}, id="seconds of another type"),
        pytest.param({"unknown": 1}, id="unknown field"),
    ],
)
def test_a_receipt_of_another_shape_or_place_is_none(work, receipt, change, caplog):
    path = work.receipt("train")
    path.write_text(json.dumps({**json.loads(path.read_bytes()), **change}))
    assert Receipt.read(work, "train") is None
    assert f"The receipt {path} is damaged, so train is done again: " in caplog.text


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b"\xff", b"[" * 100_000], ids=lambda content: repr(content[:9]))
def test_what_is_no_receipt_is_none(work, receipt, content):
    work.receipt("train").write_bytes(content)
    assert Receipt.read(work, "train") is None


def test_a_fact_that_is_no_number_is_read_back(work):
    Receipt(stage="train", fingerprint="f", outputs={}, facts={"acc": float("nan")}, seconds=1.0).write(work)
    found = Receipt.read(work, "train")
    assert str(found.facts) == "{'acc': nan}"
