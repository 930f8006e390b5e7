"""The stage train on one node: from which checkpoint it starts, and what it leaves in the bucket."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from trainer.errors import AccessError, DivergedError, SpecError
from trainer.run import spec as runspec
from trainer.run.spec import RunSpec
from trainer.run.workdir import WorkDir
from trainer.stages.train import train
from trainer.state import checkpoints, key
from trainer.state.checkpoints import Data, Signatures
from trainer.state.fencing import Claims
from trainer.state.mirror import Mirror
from trainer.storage.files import FileStore
from trainer.telemetry.events import Event, Notice

RUN = {
    "task": "rec",
    "recipe": "rec-crnn-mobile",
    "data": {"train": "file:///unused"},
    "output": "file:///unused",
}
DATA = Data(digest="d" * 64, dataset_digest="e" * 64, counts={}, split="")


class Bucket(FileStore):
    full = False

    def push(self, files: Any, progress: Any = None, **named: Any) -> Any:
        if self.full:
            raise AccessError("The bucket refused.")
        return super().push(files, progress, **named)


class Node:
    def __init__(self, folder: Path) -> None:
        self.work, self.store, self.told = WorkDir(folder / "work"), Bucket(folder / "bucket"), list[Event]()
        self.work.root.mkdir()
        claims = Claims(store=self.store, owner="object", process="process")
        self.mirror = Mirror(claims, work=self.work, keep=2, tell=self.told.append)

    @property
    def said(self) -> list[str]:
        return [event.message for event in self.told if isinstance(event, Notice)]

    def save(self, step: int, *, push: bool = True) -> None:
        folder = self.work.checkpoint(step)
        folder.mkdir(parents=True)
        (folder / "model.pdparams").write_bytes(b"weights")
        checkpoints.seal(folder, facts={"step": step}, data=DATA)
        if push:
            self.mirror.push_checkpoint(folder)
        else:
            Signatures(key=key.create(self.store), folder=self.work.signatures).keep(folder)

    def train(self, *, leader: bool = True, to: int = 5, error: Exception | None = None) -> list[int]:
        """Train for a step; return which checkpoints the worker found."""
        found: list[int] = []

        def worker() -> dict[str, Any]:
            found.extend(int(each.name) for each in checkpoints.local(self.work.checkpoints))
            if leader:
                self.save(to)
            if error:
                raise error
            return {"steps": to}

        run = runspec.from_dict(RunSpec, RUN, where="run")
        facts = train(run, self.work, leader=leader, mirror=self.mirror, worker=worker, tell=self.told.append)
        assert facts == {"steps": to}
        return found


@pytest.fixture
def node(tmp_path: Path) -> Node:
    return Node(tmp_path)


def test_what_a_leader_saves_is_in_the_bucket_when_the_stage_ends(node: Node) -> None:
    assert node.train() == []
    assert node.mirror.remote.steps() == [(0, 5)]
    assert node.said == []


def test_a_leader_that_lost_its_disk_starts_from_the_buckets_checkpoint(node: Node) -> None:
    node.train(to=7)
    shutil.rmtree(node.work.root)
    node.work.root.mkdir()
    assert node.train(to=9) == [7]
    assert any("step 7" in line for line in node.said)


def test_a_newer_checkpoint_that_is_here_is_the_one(node: Node) -> None:
    node.train(to=3)
    node.save(6, push=False)
    assert node.train(to=8) == [3, 6]
    assert node.said == []


def test_a_checkpoint_with_the_signature_of_no_key_is_not_trained_from(node: Node) -> None:
    """The worker does not even see it: signatures are checked before it starts."""
    node.train(to=3)
    node.train(to=6)
    (node.work.signatures / "00000006").write_bytes(bytes(32))
    node.store.put("0/00000006/checkpoint.hmac", bytes(32))
    assert node.train(to=8) == [3]
    assert len([line for line in node.said if "00000006 is damaged: 'checkpoint.json' is not signed" in line]) == 2


def test_what_the_worker_of_a_single_node_saves_is_signed_with_the_key_in_the_bucket(node: Node) -> None:
    node.train(to=3)
    found = key.find(node.store)
    assert found is not None
    Signatures(key=found, folder=node.work.signatures).check(node.work.checkpoint(3))


def test_a_leader_that_lost_its_disk_passes_over_a_damaged_checkpoint_of_the_bucket(node: Node) -> None:
    node.train(to=7)
    node.train(to=9)
    shutil.rmtree(node.work.root)
    node.work.root.mkdir()
    node.store.put("0/00000009/model.pdparams", b"weighty")
    assert node.train(to=11) == [7]
    assert any("0/00000009 is damaged" in line for line in node.said)


def test_a_run_without_a_whole_checkpoint_does_not_train(node: Node) -> None:
    node.train(to=7)
    node.store.put("0/00000007/model.pdparams", b"weighty")
    (node.work.checkpoint(7) / "model.pdparams").write_bytes(b"weighty")
    with pytest.raises(SpecError, match="Every checkpoint of this run is damaged"):
        node.train(to=9)


def test_other_nodes_save_nothing_and_look_for_nothing(node: Node) -> None:
    assert node.train(leader=False) == []
    assert node.store.list() == []


def test_why_training_ended_is_the_error_though_the_bucket_failed_too(node: Node) -> None:
    node.store.full = True
    with pytest.raises(DivergedError, match="NaN"):
        node.train(error=DivergedError("The loss is NaN."))
    assert any("The bucket refused." in line for line in node.said)


def test_a_training_whose_last_checkpoint_is_not_in_the_bucket_has_failed(node: Node) -> None:
    node.store.full = True
    with pytest.raises(AccessError, match="The bucket refused"):
        node.train()
