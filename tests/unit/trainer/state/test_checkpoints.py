"""Checkpoints as folders and objects, on a store in a folder."""

import hashlib
import json

import pytest

from trainer.errors import NotFoundError, TransientError
from trainer.state import checkpoints
from trainer.state.checkpoints import SEAL, Remote
from trainer.storage import open_store
from trainer.storage.files import FileStore


def make(folder, step, content=b"weights"):
    made = folder / f"{step:08d}"
    made.mkdir(parents=True)
    (made / "model.pdparams").write_bytes(content)
    checkpoints.seal(made, facts={"step": step})
    return made


@pytest.fixture
def remote(tmp_path):
    return Remote(store=open_store((tmp_path / "bucket").as_uri()))


def test_a_sealed_folder_gives_its_facts_back(tmp_path):
    assert checkpoints.verified(make(tmp_path, 7)) == {"step": 7}


@pytest.mark.parametrize("hurt", ["change", "remove"])
def test_a_damaged_checkpoint_is_not_read(tmp_path, hurt):
    weights = make(tmp_path, 7) / "model.pdparams"
    weights.write_bytes(b"weighty") if hurt == "change" else weights.unlink()
    with pytest.raises(TransientError, match=r"damaged: 'model\.pdparams'"):
        checkpoints.verified(weights.parent)


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


def test_a_pushed_checkpoint_comes_back_the_same(tmp_path, remote):
    remote.push(make(tmp_path / "here", 7, b"seven"), attempt=1)
    pulled = remote.pull_newest(tmp_path / "there", newer_than=-1)
    assert pulled is not None
    assert checkpoints.verified(pulled) == {"step": 7}
    assert (pulled / "model.pdparams").read_bytes() == b"seven"


def test_the_latest_attempt_decides_not_the_highest_step(tmp_path, remote):
    """An attempt that was given up may have gone further; what it wrote is not read."""
    remote.push(make(tmp_path / "first", 9), attempt=1)
    remote.push(make(tmp_path / "second", 5), attempt=2)
    assert remote.pull_newest(tmp_path / "there", newer_than=-1).name == "00000005"


def test_a_checkpoint_that_is_here_already_is_not_pulled(tmp_path, remote):
    remote.push(make(tmp_path / "here", 7), attempt=1)
    assert remote.pull_newest(tmp_path / "here", newer_than=7) is None


def test_a_checkpoint_whose_seal_is_not_pushed_yet_is_not_pulled(tmp_path, remote):
    folder = make(tmp_path / "here", 7)
    remote.store.push({"1/00000007/model.pdparams": folder / "model.pdparams"})
    assert remote.pull_newest(tmp_path / "there", newer_than=-1) is None


def test_a_checkpoint_that_is_pruned_while_it_is_pulled_gives_way_to_the_newer_one(tmp_path, remote, monkeypatch):
    remote.push(make(tmp_path / "here", 1), attempt=1)
    pull = remote.store.pull

    def pruned_meanwhile(*words, **named):
        monkeypatch.undo()
        remote.push(make(tmp_path / "here", 2), attempt=1)
        remote.prune(keep=1)
        return pull(*words, **named)

    monkeypatch.setattr(type(remote.store), "pull", lambda _, *words, **named: pruned_meanwhile(*words, **named))
    assert remote.pull_newest(tmp_path / "there", newer_than=-1).name == "00000002"


class Recording(FileStore):
    """A folder that notes in which order objects come and go."""

    def __init__(self, root):
        super().__init__(root)
        self.deeds = []

    def push(self, files, progress=None):
        for key in files:
            self.deeds.append(("push", key))
        return super().push(files, progress)

    def delete(self, keys):
        keys = list(keys)
        for key in keys:
            self.deeds.append(("delete", key))
        super().delete(keys)


def test_the_seal_comes_last_and_goes_first(tmp_path):
    """Whenever the process is killed, what a reader sees is whole."""
    store = Recording(tmp_path / "bucket")
    remote = Remote(store=store)
    folder = make(tmp_path / "here", 7)
    (folder / "optimizer.pdopt").write_bytes(b"moments")
    assert remote.push(folder, attempt=1) == sum(p.stat().st_size for p in folder.iterdir())
    remote.push(make(tmp_path / "here", 8), attempt=1)
    remote.prune(keep=1)
    seventh = [(deed, key.rpartition("/")[2]) for deed, key in store.deeds if key.startswith("1/00000007/")]
    files = {"model.pdparams", "optimizer.pdopt"}
    assert {name for _, name in seventh[:2]} == files == {name for _, name in seventh[4:]}
    assert seventh[2:4] == [("push", SEAL), ("delete", SEAL)]
    assert remote.steps() == [(1, 8)]


def test_what_is_no_checkpoint_in_the_bucket_is_passed_over(tmp_path, remote):
    for key in ("attempts/1", "logs/1/node-0.log", f"1/00000007/more/{SEAL}", f"1/best/{SEAL}", f"x/00000007/{SEAL}"):
        remote.store.put(key, b"{}")
    remote.store.put("1/00000009/model.pdparams", b"half of a push")
    assert remote.steps() == []
    remote.push(make(tmp_path / "here", 7), attempt=1)
    remote.push(make(tmp_path / "there", 3), attempt=10)
    remote.push(make(tmp_path / "elsewhere", 5), attempt=9)
    assert remote.steps() == [(1, 7), (9, 5), (10, 3)]


def test_a_pulled_checkpoint_takes_the_place_of_a_damaged_one_and_leaves_nothing_beside_it(tmp_path, remote):
    remote.push(make(tmp_path / "here", 7, b"seven"), attempt=1)
    left = tmp_path / "there" / "00000007"
    left.mkdir(parents=True)
    (left / "model.pdparams").write_bytes(b"half of it")
    pulled = remote.pull_newest(tmp_path / "there", newer_than=6)
    assert pulled == left
    assert checkpoints.verified(left) == {"step": 7}
    assert [path.name for path in (tmp_path / "there").iterdir() if path.is_dir()] == ["00000007"]


def test_a_checkpoint_that_was_changed_in_the_bucket_is_not_taken(tmp_path, remote):
    remote.push(make(tmp_path / "here", 7, b"seven"), attempt=1)
    remote.store.put("1/00000007/model.pdparams", b"other")
    with pytest.raises(TransientError, match="damaged"):
        remote.pull_newest(tmp_path / "there", newer_than=-1)
    assert checkpoints.local(tmp_path / "there") == []


class Losing(FileStore):
    """A bucket that lists what it cannot give."""

    def pull(self, *words, **named):
        raise NotFoundError("There is no such object.")


def test_a_checkpoint_that_is_listed_and_not_there_is_not_looked_for_for_ever(tmp_path):
    remote = Remote(store=Losing(tmp_path / "bucket"))
    for step in (6, 7):
        remote.push(make(tmp_path / "here", step), attempt=1)
    with pytest.raises(NotFoundError):
        remote.pull_newest(tmp_path / "there", newer_than=-1)


def test_a_missing_folder_has_no_checkpoints(tmp_path):
    assert checkpoints.local(tmp_path / "none") == []


def test_the_note_of_a_checkpoint_says_what_is_in_it(tmp_path):
    """Other tools may read it."""
    note = json.loads((make(tmp_path, 7) / SEAL).read_text("utf-8"))
    digest = hashlib.sha256(b"weights").hexdigest()
    assert note == {"files": {"model.pdparams": {"size": 7, "sha256": digest}}, "facts": {"step": 7}}


def test_the_note_of_a_checkpoint_lists_its_files_in_order(tmp_path):
    """The same state gives the same note, whatever the order of the folder."""
    made = tmp_path / "7"
    made.mkdir()
    names = [f"{number:02d}" for number in (7, 3, 9, 1, 8, 0, 2, 6, 5, 4)]
    for name in names:
        (made / name).touch()
    checkpoints.seal(made, facts={})
    assert list(json.loads((made / SEAL).read_text("utf-8"))["files"]) == sorted(names)


def test_the_bucket_keeps_the_newest_too(tmp_path, remote):
    for step in (1, 2, 3):
        remote.push(make(tmp_path / "here", step), attempt=1)
    remote.prune(keep=2)
    assert remote.steps() == [(1, 2), (1, 3)]
    assert not remote.store.list("1/00000001/")
