"""Forged checkpoints, in the bucket and on the node's disk: each is named and passed over."""

import hashlib
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from trainer.errors import SpecError
from trainer.run import spec as runspec
from trainer.run.spec import RunSpec
from trainer.state import checkpoints, resuming
from trainer.state.checkpoints import SEAL, SIGNATURE, DamagedError, Data, Remote, Signatures
from trainer.state.key import RunKey
from trainer.storage import open_store
from trainer.telemetry.events import Event, Notice

DATA = Data(digest="d" * 64, dataset_digest="e" * 64, counts={"train": 4}, split="6:2:2 by page, seed 42")
RUN = {"task": "rec", "recipe": "rec-crnn-mobile", "data": {"train": "file:///unused"}, "output": "file:///unused"}
UNSIGNED = "'checkpoint.json' is not signed"
WRONG = "'checkpoint.json' is not signed for this step with the key of this run"


@dataclass(frozen=True)
class Files:
    """A checkpoint as an attacker finds it: in the bucket, or on disk."""

    folder: Path
    signature: Path

    def forge(self, **facts: Any) -> None:
        """Change the weights and the facts, and make all digests right."""
        (self.folder / "weights").write_bytes(b"forged!")
        note = json.loads((self.folder / SEAL).read_bytes())
        note["files"]["weights"]["sha256"] = hashlib.sha256(b"forged!").hexdigest()
        note["facts"] |= facts
        content = {name: note[name] for name in ("files", "data", "facts")}
        digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
        (self.folder / SEAL).write_text(json.dumps({**content, "sha256": digest}))


class Node:
    """The leader of a run, with the checkpoints of steps 5 and 7 in its bucket and on its disk."""

    def __init__(self, root: Path, *, secret: bytes = bytes(32)) -> None:
        self.local, self.bucket, self.told = root / "checkpoints", root / "bucket", list[Event]()
        self.key = RunKey(secret)
        self.signatures = Signatures(key=self.key, folder=root / "signatures")
        self.remote = Remote(store=open_store(self.bucket.as_uri()))
        for step in (5, 7):
            folder = self.local / f"{step:08d}"
            folder.mkdir(parents=True)
            (folder / "weights").write_bytes(b"weights")
            checkpoints.seal(folder, facts={"step": step, "loss": 0.5}, data=DATA)
            self.signatures.keep(folder)
            self.remote.push(folder, attempt=1, signatures=self.signatures)

    def files(self, place: str, step: int) -> Files:
        if place == "disk":
            return Files(self.local / f"{step:08d}", self.signatures.folder / f"{step:08d}")
        folder = self.bucket / "1" / f"{step:08d}"
        return Files(folder, folder / SIGNATURE)

    def leave(self, place: str) -> None:
        """Leave the checkpoints of one place only."""
        for folder in {"disk": [self.bucket], "bucket": [self.local, self.signatures.folder]}[place]:
            shutil.rmtree(folder)

    def resume(self, on_damage: str = "fail") -> int | None:
        """Return the step that the worker resumes from."""
        run = runspec.from_dict(RunSpec, {**RUN, "checkpoint": {"onDamage": on_damage}}, where="run")
        resuming.pull(self.local, remote=self.remote, signatures=self.signatures, run=run, tell=self.told.append)
        found = resuming.choose(self.local, run=run, data=DATA, tell=self.told.append)
        return found and found.step

    @property
    def said(self) -> list[str]:
        return [event.message for event in self.told if isinstance(event, Notice)]


def forged(node: Node, place: str) -> None:
    node.files(place, 7).forge()


def forged_facts(node: Node, place: str) -> None:
    node.files(place, 7).forge(loss=0.25)


def of_another_run(node: Node, place: str) -> None:
    """With the files and the signature that belong to it."""
    theirs, ours = Node(node.bucket.parent / "theirs", secret=b"\1" * 32).files(place, 7), node.files(place, 7)
    shutil.copytree(theirs.folder, ours.folder, dirs_exist_ok=True)
    shutil.copy(theirs.signature, ours.signature)


def signed_with_another_key(node: Node, place: str) -> None:
    files = node.files(place, 7)
    files.forge()
    files.signature.write_bytes(Signatures(key=RunKey(b"\1" * 32), folder=node.bucket).sign(files.folder))


def signed_for_the_rendezvous(node: Node, place: str) -> None:
    files = node.files(place, 7)
    files.signature.write_bytes(node.key.sign("rendezvous", b"00000007\0" + (files.folder / SEAL).read_bytes()))


def signed_for_an_older_step(node: Node, place: str) -> None:
    """The older checkpoint, whole, in the place of the newer one."""
    older, newer = node.files(place, 5), node.files(place, 7)
    shutil.copytree(older.folder, newer.folder, dirs_exist_ok=True)
    shutil.copy(older.signature, newer.signature)


def signature_cut(node: Node, place: str) -> None:
    signature = node.files(place, 7).signature
    signature.write_bytes(signature.read_bytes()[:16])


def signature_emptied(node: Node, place: str) -> None:
    node.files(place, 7).signature.write_bytes(b"")


ATTACKS = [
    forged,
    forged_facts,
    of_another_run,
    signed_with_another_key,
    signed_for_the_rendezvous,
    signed_for_an_older_step,
    signature_cut,
    signature_emptied,
]


@pytest.fixture
def node(tmp_path: Path) -> Node:
    return Node(tmp_path)


@pytest.mark.parametrize("place", ["bucket", "disk"])
def test_a_checkpoint_that_nobody_touched_is_taken(node: Node, place: str) -> None:
    node.leave(place)
    assert node.resume() == 7
    assert not any("is damaged" in line or "not signed" in line for line in node.said)


@pytest.mark.parametrize("attack", ATTACKS)
@pytest.mark.parametrize("place", ["bucket", "disk"])
def test_a_forged_checkpoint_is_named_and_the_one_before_it_taken(
    node: Node, place: str, attack: Callable[[Node, str], None]
) -> None:
    attack(node, place)
    node.leave(place)
    where = node.local / "00000007" if place == "disk" else f"{node.remote.store.uri}1/00000007"
    assert node.resume() == 5
    assert node.said[0] == (
        f"The checkpoint {where} is damaged: {WRONG}. Training resumes from the checkpoint of step 5."
    )
    assert not (node.local / "00000007").exists()


def test_a_note_in_the_bucket_without_a_signature_is_named_and_the_one_before_it_taken(node: Node) -> None:
    node.files("bucket", 7).signature.unlink()
    node.leave("bucket")
    assert node.resume() == 5
    assert f"1/00000007 is damaged: {UNSIGNED}. Training resumes" in node.said[0]


def test_a_note_on_disk_without_a_signature_is_named_and_the_one_before_it_taken(node: Node) -> None:
    node.files("disk", 7).signature.unlink()
    node.leave("disk")
    assert node.resume() == 5
    assert node.said == [
        f"The checkpoint {node.local}/00000007 is not signed and was removed. Either this node was killed right after "
        "it was saved, or something else wrote it."
    ]


def test_a_node_that_was_killed_before_it_signed_its_only_checkpoint_starts_again(node: Node) -> None:
    """That is no damage, so `run.checkpoint.onDamage` does not matter."""
    node.leave("disk")
    shutil.rmtree(node.signatures.folder)
    assert node.resume("fail") is None
    assert len(node.said) == 2


def test_a_forged_checkpoint_on_disk_gives_way_to_that_of_the_bucket(node: Node) -> None:
    forged(node, "disk")
    assert node.resume() == 7
    assert (node.local / "00000007" / "weights").read_bytes() == b"weights"


def test_what_is_pulled_is_still_signed_when_the_node_starts_again(node: Node) -> None:
    node.leave("bucket")
    assert node.resume() == 7
    shutil.rmtree(node.bucket)
    node.told.clear()
    assert (node.resume(), node.said) == (7, [])


def test_when_all_are_forged_the_run_ends_and_says_why(node: Node) -> None:
    for step in (5, 7):
        node.files("bucket", step).forge()
    node.leave("bucket")
    with pytest.raises(SpecError, match=rf"^Every checkpoint of this run is damaged: .*{WRONG}"):
        node.resume()
    assert node.resume("restart") is None


def test_a_run_whose_key_was_replaced_has_no_whole_checkpoint(node: Node) -> None:
    node.signatures = Signatures(key=RunKey(b"\1" * 32), folder=node.signatures.folder)
    with pytest.raises(SpecError, match=WRONG):
        node.resume()


def test_signatures_of_removed_checkpoints_go(node: Node) -> None:
    shutil.rmtree(node.local / "00000005")
    node.signatures.keep(node.local / "00000007")
    assert [path.name for path in node.signatures.folder.iterdir()] == ["00000007"]


def test_a_checkpoint_that_is_gone_is_not_signed(node: Node) -> None:
    with pytest.raises(FileNotFoundError):
        node.signatures.keep(node.local / "00000009")
    assert not (node.signatures.folder / "00000009").exists()


def test_a_checkpoint_has_the_same_signature_on_disk_and_in_the_bucket(node: Node) -> None:
    local, remote = (node.files(place, 7).signature.read_bytes() for place in ("disk", "bucket"))
    note = (node.local / "00000007" / SEAL).read_bytes()
    assert local == remote == node.key.sign("checkpoint", b"00000007\0" + note)


Signed = tuple[bytes, int, bytes]
"""Secret, step and note."""

SIGNED: st.SearchStrategy[Signed] = st.tuples(
    st.sampled_from([bytes(32), b"\1" * 32]), st.integers(0, 3), st.binary(max_size=3)
)


@given(one=SIGNED, other=SIGNED)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_a_signature_holds_for_one_key_step_and_note_only(tmp_path: Path, one: Signed, other: Signed) -> None:
    def at(signed: Signed) -> tuple[Signatures, Path]:
        secret, step, note = signed
        folder = tmp_path / f"{step:08d}"
        folder.mkdir(exist_ok=True)
        (folder / SEAL).write_bytes(note)
        return Signatures(key=RunKey(secret), folder=tmp_path / "none"), folder

    signatures, folder = at(one)
    signature = signatures.sign(folder)
    signatures, folder = at(other)
    (folder / SIGNATURE).write_bytes(signature)
    if one == other:
        signatures.check(folder)
    else:
        with pytest.raises(DamagedError, match=WRONG):
            signatures.check(folder)
