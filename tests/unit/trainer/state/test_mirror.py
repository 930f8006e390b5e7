"""The bucket's copy of a run: receipts with their outputs, checkpoints, logs."""

import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from trainer.errors import AccessError, OcrfleetError
from trainer.run.workdir import WorkDir
from trainer.state import checkpoints
from trainer.state.checkpoints import Data, Signatures
from trainer.state.fencing import Claims
from trainer.state.key import RunKey
from trainer.state.mirror import Mirror
from trainer.state.receipts import Receipt, files_of, measure
from trainer.storage.files import FileStore
from trainer.telemetry.events import Event, Notice

DATA = Data(digest="d" * 64, dataset_digest="e" * 64, counts={}, split="")


class Bucket(FileStore):
    """A folder that a test can keep waiting, or have refuse."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.open, self.asked = threading.Event(), threading.Event()
        self.open.set()
        self.refusals: list[Exception] = []
        self.pulled: list[str] = []

    def push(self, files: Any, progress: Any = None, **named: Any) -> Any:
        self.asked.set()
        assert self.open.wait(30)
        if self.refusals:
            raise self.refusals.pop(0)
        return super().push(files, progress, **named)

    def pull(self, keys: Any, dest: Path, *words: Any, **named: Any) -> Any:
        self.pulled.extend(keys)
        return super().pull(keys, dest, *words, **named)


@pytest.fixture
def store(tmp_path: Path) -> Bucket:
    return Bucket(tmp_path / "bucket")


@pytest.fixture
def work(tmp_path: Path) -> WorkDir:
    return WorkDir(tmp_path / "work")


@pytest.fixture
def told() -> list[Event]:
    return []


@pytest.fixture
def mirrors(store: Bucket, told: list[Event]) -> Callable[..., Mirror]:
    def mirror(work: WorkDir, *, keep: int = 1) -> Mirror:
        return Mirror(Claims(store=store, owner="object", process="process"), work=work, keep=keep, tell=told.append)

    return mirror


@pytest.fixture
def mirror(mirrors: Callable[..., Mirror], work: WorkDir) -> Mirror:
    return mirrors(work)


def trained(work: WorkDir, *, attempt: int = 1, weights: bytes = b"weights") -> Receipt:
    work.trained.mkdir(parents=True, exist_ok=True)
    work.best_weights.write_bytes(weights)
    work.training_facts.write_text("{}", "utf-8")
    outputs = measure(work, files_of(work, work.trained))
    return Receipt(stage="train", fingerprint="f", outputs=outputs, facts={}, seconds=1.0, attempt=attempt)


def test_the_latest_attempts_receipt_holds(mirror: Mirror, work: WorkDir) -> None:
    """By number: as text, 9 comes after 10."""
    assert mirror.receipt("train") is None
    for attempt in (9, 10, 2):
        mirror.push_receipt(trained(work, attempt=attempt, weights=b"of %d" % attempt))
    found = mirror.receipt("train")
    assert found
    assert found.attempt == 10
    assert mirror.restore(found)
    assert work.best_weights.read_bytes() == b"of 10"
    assert mirror.receipt("evaluate") is None


def test_a_strange_receipt_is_passed_over_and_cannot_write_outside_the_work_folder(
    mirror: Mirror, work: WorkDir, store: Bucket, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    mirror.push_receipt(trained(work, attempt=2))
    strange = Receipt(
        stage="train", fingerprint="f", outputs={"../escaped": {"size": 1}}, facts={}, seconds=1.0, attempt=3
    )
    store.put("receipts/3/train.json", strange.to_json().encode())
    for attempt in ("4", "²", "٣", "007"):
        store.put(f"receipts/{attempt}/train.json", b"{}")
    found = mirror.receipt("train")
    assert found
    assert found.attempt == 2
    assert [record.getMessage().partition(" is damaged")[0] for record in caplog.records] == [
        f"The receipt {store.uri}receipts/{attempt}/train.json" for attempt in (4, 3)
    ]


def test_a_node_that_lost_its_disk_gets_a_stages_outputs_back(
    mirror: Mirror, work: WorkDir, store: Bucket, mirrors: Callable[..., Mirror], tmp_path: Path
) -> None:
    receipt = trained(work)
    mirror.push_receipt(receipt)
    other = WorkDir(tmp_path / "other")
    mirrors(other).restore(receipt)
    assert measure(other, list(receipt.outputs)) == receipt.outputs
    assert not other.restored.exists(), "what landed there has been moved to its place"
    store.pulled.clear()
    other.best_weights.unlink()
    mirrors(other).restore(receipt)
    assert [Path(key).name for key in store.pulled] == [work.best_weights.name], "what is here and right stays"
    store.pulled.clear()
    mirrors(other).restore(receipt)
    assert store.pulled == []


@pytest.mark.parametrize("content", [b"weighty", None], ids=["changed", "missing"])
def test_outputs_that_are_not_what_the_receipt_names_are_not_taken(
    mirror: Mirror, work: WorkDir, store: Bucket, content: bytes | None, caplog: pytest.LogCaptureFixture
) -> None:
    receipt = trained(work)
    mirror.push_receipt(receipt)
    (name,) = [info.key for info in store.list("stages") if info.key.endswith(work.best_weights.name)]
    store.delete([name])
    if content:
        store.put(name, content)
    shutil.rmtree(work.root)
    assert not mirror.restore(receipt)
    assert "so it is done again" in caplog.text


def test_what_is_no_receipt_in_the_bucket_is_passed_over(mirror: Mirror, work: WorkDir, store: Bucket) -> None:
    for junk in ("²", "٣", "007", "old/9"):
        store.put(f"receipts/{junk}/train.json", b"{}")
    assert mirror.receipt("train") is None
    mirror.push_receipt(trained(work))
    assert mirror.receipt("train") == trained(work)


def test_a_damaged_receipt_is_named_and_its_stage_is_not_done(
    mirror: Mirror, work: WorkDir, store: Bucket, caplog: pytest.LogCaptureFixture
) -> None:
    mirror.push_receipt(trained(work, attempt=3))
    store.put("receipts/3/train.json", store.get("receipts/3/train.json").replace(b'"stage"', b'"stagf"'))
    assert mirror.receipt("train") is None
    assert f"The receipt {store.uri}receipts/3/train.json is damaged, so train is done again: " in caplog.text


def test_a_receipt_of_another_attempt_is_not_taken(mirror: Mirror, work: WorkDir, store: Bucket) -> None:
    mirror.push_receipt(trained(work, attempt=1))
    store.put("receipts/2/train.json", store.get("receipts/1/train.json"))
    found = mirror.receipt("train")
    assert found
    assert found.attempt == 1


@pytest.fixture
def signatures(work: WorkDir) -> Signatures:
    return Signatures(key=RunKey(bytes(32)), folder=work.signatures)


def checkpoint(work: WorkDir, step: int) -> Path:
    folder = work.checkpoints / f"{step:08d}"
    folder.mkdir(parents=True)
    (folder / "model.pdparams").write_bytes(b"weights")
    checkpoints.seal(folder, facts={"step": step}, data=DATA)
    return folder


def test_of_checkpoints_that_wait_only_the_newest_is_pushed(
    mirrors: Callable[..., Mirror], work: WorkDir, store: Bucket, signatures: Signatures
) -> None:
    """A slow bucket costs checkpoints and no time of training."""
    mirror = mirrors(work, keep=9)
    mirror.attempt = 3
    mirror.begin_pushing(signatures)
    store.open.clear()
    mirror.push_checkpoint(checkpoint(work, 1))
    assert store.asked.wait(30)
    for step in (2, 3, 4):
        mirror.push_checkpoint(checkpoint(work, step))
    store.open.set()
    mirror.finish_pushing()
    assert mirror.remote.steps() == [(3, 1), (3, 4)]
    for folder in checkpoints.local(work.checkpoints):
        signatures.check(folder)


def test_so_many_checkpoints_stay_in_the_bucket_as_are_kept(
    mirrors: Callable[..., Mirror], work: WorkDir, signatures: Signatures
) -> None:
    mirror = mirrors(work, keep=2)
    for step in (1, 2, 3):
        mirror.begin_pushing(signatures)
        mirror.push_checkpoint(checkpoint(work, step))
        mirror.finish_pushing()
    assert mirror.remote.steps() == [(0, 2), (0, 3)]
    mirror.tidy(keep_checkpoints=1)
    assert mirror.remote.steps() == [(0, 3)]


@pytest.mark.parametrize(
    "refusal", [AccessError("The bucket refused."), RuntimeError("a fault of ours")], ids=["refused", "fault"]
)
def test_a_last_checkpoint_that_is_not_in_the_bucket_is_an_error_and_an_earlier_one_is_none(
    mirror: Mirror, work: WorkDir, store: Bucket, refusal: Exception, signatures: Signatures
) -> None:
    store.refusals = [refusal]
    mirror.begin_pushing(signatures)
    mirror.push_checkpoint(checkpoint(work, 1))
    with pytest.raises(OcrfleetError, match=str(refusal)):
        mirror.finish_pushing()
    store.refusals = [refusal]
    store.asked.clear()
    mirror.begin_pushing(signatures)
    mirror.push_checkpoint(checkpoint(work, 2))
    assert store.asked.wait(30)
    mirror.push_checkpoint(checkpoint(work, 3))
    mirror.finish_pushing()
    assert mirror.remote.steps() == [(0, 3)]


def test_a_checkpoint_that_was_replaced_before_its_push_is_no_error(
    mirror: Mirror, work: WorkDir, signatures: Signatures
) -> None:
    gone = checkpoint(work, 1)
    shutil.rmtree(gone)
    mirror.begin_pushing(signatures)
    mirror.push_checkpoint(gone)
    mirror.finish_pushing()
    assert mirror.remote.steps() == []


def planted(tmp_path: Path, path: Path) -> None:
    """Link to a file that a worker cannot read, as it can do nevertheless."""
    (tmp_path / "secret").write_text("secret")
    path.unlink(missing_ok=True)
    path.symlink_to(tmp_path / "secret")


def test_no_file_that_a_worker_links_to_is_uploaded_with_a_checkpoint(
    mirror: Mirror, work: WorkDir, signatures: Signatures, tmp_path: Path, store: Bucket
) -> None:
    folder = checkpoint(work, 1)
    planted(tmp_path, folder / "model.pdparams")
    mirror.begin_pushing(signatures)
    mirror.push_checkpoint(folder)
    with pytest.raises(OcrfleetError, match=r"model\.pdparams is a symbolic link"):
        mirror.finish_pushing()
    assert store.list() == []


def test_no_file_that_a_worker_links_to_is_uploaded_with_outputs(
    mirror: Mirror, work: WorkDir, tmp_path: Path, store: Bucket
) -> None:
    trained(work)
    planted(tmp_path, work.best_weights)
    receipt = Receipt(
        stage="train", fingerprint="f", outputs=measure(work, files_of(work, work.trained)), facts={}, seconds=1.0
    )
    with pytest.raises(OcrfleetError, match=r"model\.safetensors is a symbolic link"):
        mirror.push_receipt(receipt)
    assert store.list() == []


def test_no_file_that_a_worker_links_to_is_uploaded_with_the_logs(
    mirror: Mirror, work: WorkDir, tmp_path: Path, store: Bucket, told: list[Event]
) -> None:
    log = work.worker_log(attempt=1, stage="train", rank=0)
    log.parent.mkdir(parents=True)
    work.node_log.write_text("all of it\n")
    planted(tmp_path, log)
    mirror.push_logs(node=0)
    assert store.list() == []
    (notice,) = told
    assert "train-rank-0.log is a symbolic link" in str(notice)


@pytest.mark.parametrize("node", [0, 1])
def test_the_logs_of_every_attempt_come_into_the_bucket(
    node: int, mirrors: Callable[..., Mirror], work: WorkDir, store: Bucket, told: list[Event]
) -> None:
    """A node that outlived a peer has worked in two; its pod is gone with the end of the last."""
    mirror = mirrors(work)
    for attempt in (1, 2):
        assert mirror.claims.claim() == attempt
        log = work.worker_log(attempt=attempt, stage="train", rank=3)
        log.parent.mkdir(parents=True)
        log.write_text(f"in attempt {attempt}\n")
    work.node_log.write_text("all of it\n")
    mirror.attempt = 2
    mirror.push_logs(node=node)
    assert told == []
    assert {info.key: store.get(info.key) for info in store.list("logs/")} == {
        "logs/1/train-rank-3.log": b"in attempt 1\n",
        "logs/2/train-rank-3.log": b"in attempt 2\n",
        f"logs/2/node-{node}.log": b"all of it\n",
    }


def test_logs_that_a_bucket_does_not_take_are_said_to_be_here(
    mirror: Mirror, work: WorkDir, store: Bucket, told: list[Event]
) -> None:
    work.logs.mkdir(parents=True)
    work.node_log.touch()
    store.refusals = [AccessError("The bucket refused.")]
    mirror.push_logs(node=0)
    assert told == [Notice(message=f"The logs are in {work.logs} only: The bucket refused.")]


def test_logs_that_cannot_be_read_are_said_to_be_here(mirror: Mirror, work: WorkDir, told: list[Event]) -> None:
    """The end of a run uploads them: an error would take the place of the run's own."""
    mirror.push_logs(node=0)
    (notice,) = told
    assert str(notice).count(f"The logs are in {work.logs} only: [Errno 2] No such file") == 1
