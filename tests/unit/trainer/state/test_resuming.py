"""Which checkpoint training resumes from, here and in a bucket."""

from pathlib import Path

import msgspec
import pytest

from trainer.errors import DatasetError, SpecError
from trainer.run import spec as runspec
from trainer.run.spec import RunSpec
from trainer.state import checkpoints, resuming
from trainer.state.checkpoints import Data, Remote, Signatures
from trainer.state.key import RunKey
from trainer.storage import open_store
from trainer.telemetry.events import Event, Notice

DATA = Data(digest="d" * 64, dataset_digest="e" * 64, counts={"train": 4}, split="6:2:2 by page, seed 42")
OTHER = Data(digest="f" * 64, dataset_digest="e" * 64, counts={"train": 5}, split="6:2:2 by page, seed 42")


def a_run(on_damage: str = "fail", on_change: str = "fail") -> RunSpec:
    raw = {
        "task": "rec",
        "recipe": "rec-crnn-mobile",
        "data": {"train": "file:///unused", "onChange": on_change},
        "checkpoint": {"onDamage": on_damage},
        "output": "file:///unused",
    }
    return runspec.from_dict(RunSpec, raw, where="run")


class Node:
    def __init__(self, folder: Path) -> None:
        self.folder, self.told = folder / "checkpoints", list[Event]()
        self.remote = Remote(store=open_store((folder / "bucket").as_uri()))
        self.signatures = Signatures(key=RunKey(bytes(32)), folder=folder / "signatures")

    def save(self, *steps: int, push: bool = False) -> None:
        for step in steps:
            folder = self.folder / f"{step:08d}"
            folder.mkdir(parents=True)
            (folder / "weights").write_bytes(b"weights")
            checkpoints.seal(folder, facts={"step": step}, data=DATA)
            self.signatures.keep(folder)
            if push:
                self.remote.push(folder, attempt=1, signatures=self.signatures)

    def hurt(self, *steps: int, there: bool = False) -> None:
        for step in steps:
            if there:
                self.remote.store.put(f"1/{step:08d}/weights", b"weighty")
            else:
                (self.folder / f"{step:08d}/weights").write_bytes(b"weighty")

    def pull(self, on_damage: str = "fail") -> None:
        resuming.pull(
            self.folder,
            remote=self.remote,
            signatures=self.signatures,
            run=a_run(on_damage),
            tell=self.told.append,
        )

    def choose(self, on_damage: str = "fail", on_change: str = "fail", data: Data = DATA) -> int | None:
        found = resuming.choose(self.folder, run=a_run(on_damage, on_change), data=data, tell=self.told.append)
        return found and found.step

    @property
    def steps(self) -> list[int]:
        return [int(path.name) for path in checkpoints.local(self.folder)]

    @property
    def said(self) -> list[str]:
        return [event.message for event in self.told if isinstance(event, Notice)]


@pytest.fixture
def node(tmp_path: Path) -> Node:
    return Node(tmp_path)


def test_without_a_checkpoint_training_starts_and_nothing_is_said(node: Node) -> None:
    node.pull()
    assert (node.choose(), node.said) == (None, [])


def test_the_newest_checkpoint_is_chosen_with_its_facts(node: Node) -> None:
    node.save(3, 7)
    found = resuming.choose(node.folder, run=a_run(), data=DATA, tell=node.told.append)
    assert found is not None
    assert (found.folder, found.facts, node.said) == (node.folder / "00000007", {"step": 7}, [])


def test_a_damaged_checkpoint_is_named_and_the_one_before_it_chosen(node: Node) -> None:
    """Removed, since a run that goes back to an older step would find it the newest again."""
    node.save(3, 5, 7)
    node.hurt(7)
    assert node.choose() == 5
    assert node.said == [
        f"The checkpoint {node.folder}/00000007 is damaged: 'weights' has another sha256. "
        "Training resumes from the checkpoint of step 5."
    ]
    assert node.steps == [3, 5]


def test_when_all_are_damaged_the_run_ends_and_keeps_them(node: Node) -> None:
    node.save(5, 7)
    node.hurt(5, 7)
    with pytest.raises(
        SpecError, match=r"^Every checkpoint of this run is damaged: .*00000007: 'weights' has .*step 0"
    ):
        node.choose()
    assert node.steps == [5, 7]


def test_when_all_are_damaged_training_starts_again_if_the_run_says_so(node: Node) -> None:
    node.save(5, 7)
    node.hurt(5, 7)
    assert node.choose("restart") is None
    assert node.steps == []
    assert len(node.said) == 2
    assert all("training restarts from step 0" in line for line in node.said)


def test_a_whole_one_in_the_bucket_takes_the_place_of_a_damaged_one(node: Node) -> None:
    node.save(3, 7, push=True)
    node.hurt(7)
    node.pull()
    assert node.choose() == 7
    assert node.said[0].endswith("Training resumes from the checkpoint of step 7.")


def test_an_older_one_in_the_bucket_is_taken_when_all_newer_ones_are_damaged(node: Node) -> None:
    node.save(3, 5, 7, push=True)
    checkpoints.prune(node.folder, keep=1)
    node.hurt(7)
    node.hurt(7, there=True)
    node.pull()
    assert (node.choose(), node.steps) == (5, [5])
    assert node.said[-1] == "Resuming from the bucket's checkpoint of step 5."
    assert len([line for line in node.said if "is damaged" in line]) == 2


OLD_NOTE = b'{"files": {}, "facts": {}}'
OLD = "it was written by ocrfleet 0.1, which this version does not read"


def test_a_note_in_the_form_of_release_0_1_does_not_keep_a_run_from_an_older_whole_checkpoint(node: Node) -> None:
    node.save(5, push=True)
    node.remote.store.put("2/00000011/checkpoint.json", OLD_NOTE)
    node.pull()
    assert (node.choose(), len(node.said)) == (5, 1)
    assert f"2/00000011 is damaged: {OLD}. Training resumes from the checkpoint of step 5." in node.said[0]


def test_checkpoints_of_release_0_1_alone_end_the_run(node: Node) -> None:
    """Training would start again without a word."""
    node.remote.store.put("1/00000011/checkpoint.json", OLD_NOTE)
    with pytest.raises(SpecError, match=rf"^Every checkpoint of this run is damaged: .*11: {OLD}\. .*step 0"):
        node.pull()


def test_one_that_is_here_is_taken_when_that_of_the_bucket_is_damaged(node: Node) -> None:
    node.save(3, push=True)
    node.hurt(3, there=True)
    node.save(2)
    node.hurt(3)
    node.pull()
    assert (node.choose(), node.steps) == (2, [2])


def test_when_all_in_the_bucket_are_damaged_too_the_run_ends(node: Node) -> None:
    node.save(3, 5, push=True)
    node.hurt(3, 5)
    node.hurt(3, 5, there=True)
    with pytest.raises(SpecError, match=r"Restore one of them.* remove the checkpoints in .*/checkpoints and file://"):
        node.pull()
    assert node.steps == [3, 5]


def test_when_all_in_the_bucket_are_damaged_too_training_starts_again_if_the_run_says_so(node: Node) -> None:
    node.save(3, push=True)
    node.hurt(3)
    node.hurt(3, there=True)
    node.pull("restart")
    assert (node.choose(), node.steps, len(node.said)) == (None, [], 2)


def test_other_data_than_the_checkpoints_end_the_run_and_are_named(node: Node) -> None:
    node.save(5, 7)
    with pytest.raises(
        DatasetError,
        match=rf"checkpoint of step 7 was .* {'d' * 64}, and now the digest is {'f' * 64}.* train samples: 4 → 5\.",
    ):
        node.choose(data=OTHER)
    assert node.steps == [5, 7]


def test_another_dictionary_ends_the_run_though_the_samples_are_the_same(node: Node) -> None:
    """Its order says what the outputs of the network stand for."""
    node.save(7)
    with pytest.raises(DatasetError, match=r"What differs: the dictionary digest: unknown → b{64}\."):
        node.choose(data=msgspec.structs.replace(DATA, dictionary="b" * 64))


def test_with_other_data_training_starts_again_if_the_run_says_so(node: Node) -> None:
    """Checkpoints of the old data would be the newest ones for long."""
    node.save(5, 7)
    assert node.choose(on_change="restart", data=OTHER) is None
    assert node.steps == []
    assert len(node.said) == 1
    assert node.said[0].endswith("train samples: 4 → 5. Training restarts from step 0 (run.data.onChange).")
    assert node.choose(data=OTHER) is None


def test_what_is_known_of_the_data_beside_their_digest_does_not_matter(node: Node) -> None:
    """A dataset digest may be unknown, and the words may change with a release."""
    node.save(7)
    assert node.choose(data=Data(digest=DATA.digest, dataset_digest="", counts={}, split="")) == 7
