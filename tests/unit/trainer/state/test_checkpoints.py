"""Checkpoints as folders and objects, on a store in a folder."""

import hashlib
import json

import msgspec
import pytest

from trainer.errors import NotFoundError
from trainer.state import checkpoints
from trainer.state.checkpoints import SEAL, SIGNATURE, DamagedError, Data, Remote, Signatures
from trainer.state.key import RunKey
from trainer.storage import open_store
from trainer.storage.files import FileStore

DATA = Data(digest="d" * 64, dataset_digest="e" * 64, counts={"train": 4}, split="6:2:2 by page, seed 42")


def make(folder, step, content=b"weights"):
    made = folder / f"{step:08d}"
    made.mkdir(parents=True)
    (made / "model.pdparams").write_bytes(content)
    checkpoints.seal(made, facts={"step": step}, data=DATA)
    return made


@pytest.fixture
def signatures(tmp_path):
    return Signatures(key=RunKey(bytes(32)), folder=tmp_path / "signatures")


@pytest.fixture
def remote(tmp_path):
    return Remote(store=open_store((tmp_path / "bucket").as_uri()))


def test_a_sealed_folder_gives_its_facts_back(tmp_path):
    note = checkpoints.verified(make(tmp_path, 7))
    assert (note.facts, note.data) == ({"step": 7}, DATA)


@pytest.mark.parametrize(
    ("hurt", "why"),
    [
        pytest.param(lambda path: path.write_bytes(b"weighty"), "'model.pdparams' has another sha256", id="changed"),
        pytest.param(lambda path: path.write_bytes(b"weight"), "'model.pdparams' has 6 bytes instead of 7", id="cut"),
        pytest.param(lambda path: path.unlink(), "'model.pdparams' is missing", id="removed"),
        pytest.param(lambda path: path.with_name("x").touch(), "'x' is not in checkpoint.json", id="added"),
    ],
)
def test_a_damaged_checkpoint_is_not_read(tmp_path, hurt, why):
    weights = make(tmp_path, 7) / "model.pdparams"
    hurt(weights)
    with pytest.raises(DamagedError, match=rf"^{why}$"):
        checkpoints.verified(weights.parent)


@pytest.mark.parametrize("flipped", [0x01, 0x80])
def test_no_changed_byte_of_the_note_goes_unnoticed(tmp_path, flipped):
    """Most leave it JSON; with the highest bit it is no UTF-8."""
    note = make(tmp_path, 7) / SEAL
    whole = note.read_bytes()
    for place in range(len(whole)):
        note.write_bytes(whole[:place] + bytes([whole[place] ^ flipped]) + whole[place + 1 :])
        with pytest.raises(DamagedError):
            checkpoints.verified(note.parent)


@pytest.mark.parametrize(
    "content",
    [b"", b"[]", b"{}", b'{"files": 1, "data": {}, "facts": {}, "sha256": ""}', b"[" * 100_000, b'{"sha256": NaN}'],
)
def test_a_note_of_another_shape_is_a_damaged_one(tmp_path, content):
    note = make(tmp_path, 7) / SEAL
    note.write_bytes(content)
    with pytest.raises(DamagedError, match=r"'checkpoint.json' cannot be read"):
        checkpoints.verified(note.parent)


def test_a_note_cannot_name_files_of_other_folders(tmp_path):
    (tmp_path / "secret").write_bytes(b"weights")
    folder = make(tmp_path, 7)
    note = json.loads((folder / SEAL).read_bytes())
    content = {**note, "files": {"../secret": note["files"]["model.pdparams"]}}
    del content["sha256"]
    (folder / SEAL).write_text(json.dumps({**content, "sha256": canonical_sha256(content)}))
    with pytest.raises(DamagedError, match="names a file of another folder"):
        checkpoints.verified(folder)


def canonical_sha256(content):
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def test_a_checkpoint_of_release_0_1_counts_as_damaged(tmp_path):
    folder = make(tmp_path, 7)
    (folder / SEAL).write_text('{"files": {}, "facts": {"step": 7}}')
    with pytest.raises(DamagedError, match=r"^it was written by ocrfleet 0\.1, which this version does not read$"):
        checkpoints.verified(folder)


def test_a_metric_that_is_no_number_is_read_back(tmp_path):
    made = tmp_path / "00000007"
    made.mkdir()
    checkpoints.seal(made, facts={"loss": float("nan"), "pairs": [(1, 2)]}, data=DATA)
    assert str(checkpoints.verified(made).facts) == "{'loss': nan, 'pairs': [[1, 2]]}"


def test_a_folder_without_its_seal_does_not_exist(tmp_path):
    (make(tmp_path, 7) / SEAL).unlink()
    assert checkpoints.local(tmp_path) == []


def test_checkpoints_are_in_the_order_of_their_steps(tmp_path):
    made = [make(tmp_path, step) for step in (100, 20, 3)]
    assert checkpoints.local(tmp_path) == list(reversed(made))


def test_the_newest_are_kept_and_what_a_killed_save_left_goes(tmp_path):
    for step in (1, 2, 3):
        make(tmp_path, step)
    (tmp_path / ".00000004.tmp").mkdir()
    checkpoints.prune(tmp_path, keep=2)
    assert [p.name for p in sorted(tmp_path.iterdir())] == ["00000002", "00000003"]


def test_a_pushed_checkpoint_comes_back_the_same(tmp_path, remote, signatures):
    remote.push(make(tmp_path / "here", 7, b"seven"), attempt=1, signatures=signatures)
    pulled, damaged = remote.pull_newest(tmp_path / "there", newer_than=-1, signatures=signatures)
    assert pulled is not None
    assert damaged == {}
    assert checkpoints.verified(pulled).facts == {"step": 7}
    assert (pulled / "model.pdparams").read_bytes() == b"seven"


def test_the_latest_attempt_decides_not_the_highest_step(tmp_path, remote, signatures):
    """An attempt that was given up may have gone further; what it wrote is not read."""
    remote.push(make(tmp_path / "first", 9), attempt=1, signatures=signatures)
    remote.push(make(tmp_path / "second", 5), attempt=2, signatures=signatures)
    assert remote.pull_newest(tmp_path / "there", newer_than=-1, signatures=signatures)[0].name == "00000005"


def test_a_checkpoint_that_is_here_already_is_not_pulled(tmp_path, remote, signatures):
    remote.push(make(tmp_path / "here", 7), attempt=1, signatures=signatures)
    assert remote.pull_newest(tmp_path / "here", newer_than=7, signatures=signatures) == (None, {})


def test_a_checkpoint_whose_seal_is_not_pushed_yet_is_not_pulled(tmp_path, remote, signatures):
    folder = make(tmp_path / "here", 7)
    remote.store.push({"1/00000007/model.pdparams": folder / "model.pdparams"})
    assert remote.pull_newest(tmp_path / "there", newer_than=-1, signatures=signatures) == (None, {})


def test_a_checkpoint_that_is_pruned_while_it_is_pulled_gives_way_to_the_newer_one(
    tmp_path, remote, monkeypatch, signatures
):
    remote.push(make(tmp_path / "here", 1), attempt=1, signatures=signatures)
    pull = remote.store.pull

    def pruned_meanwhile(*words, **named):
        monkeypatch.undo()
        remote.push(make(tmp_path / "here", 2), attempt=1, signatures=signatures)
        remote.prune(keep=1)
        return pull(*words, **named)

    monkeypatch.setattr(type(remote.store), "pull", lambda _, *words, **named: pruned_meanwhile(*words, **named))
    assert remote.pull_newest(tmp_path / "there", newer_than=-1, signatures=signatures)[0].name == "00000002"


class Recording(FileStore):
    """A folder that notes in which order objects come and go."""

    def __init__(self, root):
        super().__init__(root)
        self.deeds = []

    def push(self, files, progress=None, **named):
        for key in files:
            self.deeds.append(("push", key))
        return super().push(files, progress, **named)

    def put(self, key, data, **conditions):
        self.deeds.append(("push", key))
        return super().put(key, data, **conditions)

    def delete(self, keys):
        keys = list(keys)
        for key in keys:
            self.deeds.append(("delete", key))
        super().delete(keys)


def test_the_seal_comes_last_and_goes_first(tmp_path, signatures):
    """Whenever the process is killed, what a reader sees is whole."""
    store = Recording(tmp_path / "bucket")
    remote = Remote(store=store)
    folder = make(tmp_path / "here", 7)
    (folder / "optimizer.pdopt").write_bytes(b"moments")
    assert remote.push(folder, attempt=1, signatures=signatures) == sum(p.stat().st_size for p in folder.iterdir())
    remote.push(make(tmp_path / "here", 8), attempt=1, signatures=signatures)
    remote.prune(keep=1)
    seventh = [(deed, key.rpartition("/")[2]) for deed, key in store.deeds if key.startswith("1/00000007/")]
    files = {"model.pdparams", "optimizer.pdopt"}
    assert {name for _, name in seventh[:2]} == files
    assert seventh[2:5] == [("push", SIGNATURE), ("push", SEAL), ("delete", SEAL)]
    assert {name for _, name in seventh[5:]} == files | {SIGNATURE}
    assert remote.steps() == [(1, 8)]


def test_what_is_no_checkpoint_in_the_bucket_is_passed_over(tmp_path, remote, signatures):
    junk = ("1/00000007/more", "1/best", "x/00000007", "²/00000007", "1/0000000²", "٣/00000007", "01/00000007", "1/7")
    for key in ("attempts/1", "logs/1/node-0.log", *(f"{folder}/{SEAL}" for folder in junk)):
        remote.store.put(key, b"{}")
    for number in ("²", "٣"):
        remote.store.put(f"{number}/00000007/{SEAL}", b"{}")
    remote.store.put("1/00000009/model.pdparams", b"half of a push")
    assert remote.steps() == []
    remote.push(make(tmp_path / "here", 7), attempt=1, signatures=signatures)
    remote.push(make(tmp_path / "there", 3), attempt=10, signatures=signatures)
    remote.push(make(tmp_path / "elsewhere", 5), attempt=9, signatures=signatures)
    assert remote.steps() == [(1, 7), (9, 5), (10, 3)]


def test_a_pulled_checkpoint_takes_the_place_of_a_damaged_one_and_leaves_nothing_beside_it(
    tmp_path, remote, signatures
):
    remote.push(make(tmp_path / "here", 7, b"seven"), attempt=1, signatures=signatures)
    left = tmp_path / "there" / "00000007"
    left.mkdir(parents=True)
    (left / "model.pdparams").write_bytes(b"half of it")
    pulled, _ = remote.pull_newest(tmp_path / "there", newer_than=6, signatures=signatures)
    assert pulled == left
    assert checkpoints.verified(left).facts == {"step": 7}
    assert [path.name for path in (tmp_path / "there").iterdir() if path.is_dir()] == ["00000007"]


def test_damaged_checkpoints_in_the_bucket_are_passed_over_and_named(tmp_path, remote, signatures):
    """Whatever attempt made them; the newest whole one is taken."""
    for attempt, step in ((1, 5), (1, 6), (2, 7), (2, 8)):
        remote.push(make(tmp_path / "here", step), attempt=attempt, signatures=signatures)
    remote.store.put("2/00000007/model.pdparams", b"other")
    remote.store.delete(["2/00000008/model.pdparams"])
    remote.store.put("1/00000006/checkpoint.json", b"\xff")
    pulled, damaged = remote.pull_newest(tmp_path / "there", newer_than=-1, signatures=signatures)
    assert pulled.name == "00000005"
    assert {place.removeprefix(remote.store.uri): why for place, why in damaged.items()} == {
        "2/00000008": "'model.pdparams' is missing",
        "2/00000007": "'model.pdparams' has 5 bytes instead of 7",
        "1/00000006": "'checkpoint.json' cannot be read",
    }
    assert [path.name for path in (tmp_path / "there").iterdir() if path.is_dir()] == ["00000005"]


def test_a_damaged_checkpoint_in_the_bucket_does_not_lead_behind_the_local_one(tmp_path, remote, signatures):
    for step in (5, 7):
        remote.push(make(tmp_path / "here", step), attempt=1, signatures=signatures)
    remote.store.put("1/00000007/model.pdparams", b"other")
    pulled, damaged = remote.pull_newest(tmp_path / "there", newer_than=6, signatures=signatures)
    assert pulled is None
    assert len(damaged) == 1
    assert [path for path in (tmp_path / "there").iterdir() if path.is_dir()] == []


def test_an_object_that_no_file_can_be_named_like_damages_its_checkpoint_only(tmp_path, remote, signatures):
    for step in (5, 7):
        remote.push(make(tmp_path / "here", step), attempt=1, signatures=signatures)
    (tmp_path / "bucket/1/00000007/a\x01b").touch()
    pulled, damaged = remote.pull_newest(tmp_path / "there", newer_than=-1, signatures=signatures)
    assert pulled.name == "00000005"
    (why,) = damaged.values()
    assert why.startswith(r"The key '1/00000007/a\x01b' cannot be a file name")
    assert not why.endswith("."), "a sentence follows"


class Losing(FileStore):
    """A bucket that lists what it cannot give."""

    def pull(self, *words, **named):
        raise NotFoundError("There is no such object.")


def test_a_checkpoint_that_is_listed_and_not_there_is_not_looked_for_for_ever(tmp_path, signatures):
    remote = Remote(store=Losing(tmp_path / "bucket"))
    for step in (6, 7):
        remote.push(make(tmp_path / "here", step), attempt=1, signatures=signatures)
    with pytest.raises(NotFoundError):
        remote.pull_newest(tmp_path / "there", newer_than=-1, signatures=signatures)


def test_a_missing_folder_has_no_checkpoints(tmp_path):
    assert checkpoints.local(tmp_path / "none") == []


def test_a_folder_that_is_not_named_by_a_step_is_no_checkpoint(tmp_path):
    make(tmp_path, 7).rename(tmp_path / "00000007.kept")
    assert checkpoints.local(tmp_path) == []


def test_the_note_of_a_checkpoint_says_what_is_in_it(tmp_path):
    """Other tools may read it."""
    note = json.loads((make(tmp_path, 7) / SEAL).read_text("utf-8"))
    digest = hashlib.sha256(b"weights").hexdigest()
    data = {
        "digest": "d" * 64,
        "dataset_digest": "e" * 64,
        "counts": {"train": 4},
        "split": "6:2:2 by page, seed 42",
        "dictionary": "",
    }
    content = {"files": {"model.pdparams": {"size": 7, "sha256": digest}}, "data": data, "facts": {"step": 7}}
    assert note == {**content, "sha256": canonical_sha256(content)}


def test_the_note_of_a_checkpoint_lists_its_files_in_order(tmp_path):
    """The same state gives the same note, whatever the order of the folder."""
    made = tmp_path / "7"
    made.mkdir()
    names = [f"{number:02d}" for number in (7, 3, 9, 1, 8, 0, 2, 6, 5, 4)]
    for name in names:
        (made / name).touch()
    checkpoints.seal(made, facts={}, data=DATA)
    assert list(json.loads((made / SEAL).read_text("utf-8"))["files"]) == sorted(names)


def test_the_bucket_keeps_the_newest_too(tmp_path, remote, signatures):
    for step in (1, 2, 3):
        remote.push(make(tmp_path / "here", step), attempt=1, signatures=signatures)
    remote.prune(keep=2)
    assert remote.steps() == [(1, 2), (1, 3)]
    assert not remote.store.list("1/00000001/")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"counts": {"train": 5, "eval": 1}}, "eval samples: 0 → 1; train samples: 4 → 5"),
        ({"split": "4:1:1 by page, seed 42"}, "the split: 6:2:2 by page, seed 42 → 4:1:1 by page, seed 42"),
        ({"dataset_digest": ""}, f"the dataset digest: {'e' * 64} → unknown"),
        ({}, "the content of samples, or their order"),
    ],
)
def test_how_data_differ_is_said_in_words(change, words):
    assert DATA.differences(msgspec.structs.replace(DATA, digest="f" * 64, **change)) == words
