"""The key of a run, in a bucket that is a folder."""

import copy
import hashlib
import hmac
import pickle
import threading
from pathlib import Path

import pytest

from trainer.errors import SpecError
from trainer.state import key as module
from trainer.state.key import RunKey, create, find
from trainer.storage import Store, open_store
from trainer.system import atomic

SECRET = bytes(range(65, 97))


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store((tmp_path / "checkpoints" / "receipts-00000001").as_uri())


def same(one: RunKey | None, other: RunKey | None) -> bool:
    return bool(one and other and one.sign("test", b"data") == other.sign("test", b"data"))


def test_a_key_is_created_once_and_found_by_all(store: Store) -> None:
    assert find(store) is None
    made = create(store)
    assert len(store.get("key")) == 32
    assert same(create(store), made)
    assert same(find(store), made)


@pytest.mark.parametrize("links", [True, False], ids=["links", "no links"])
def test_in_a_folder_only_its_owner_may_read_a_key(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, links: bool
) -> None:
    if not links:
        monkeypatch.setattr(atomic, "link", lambda source, target: False)
    made = create(store)
    (path,) = tmp_path.rglob("key")
    assert path.stat().st_mode & 0o777 == 0o600
    assert same(find(store), made)


def test_two_runs_have_two_keys(tmp_path: Path) -> None:
    one, other = (create(open_store((tmp_path / run).as_uri())) for run in ("a", "b"))
    assert not same(one, other)


def test_leaders_that_start_at_once_agree_on_one_key(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both find none, both write: only the first write counts."""
    both, keys = threading.Barrier(2), list[RunKey]()
    look = module.find

    def looked(store: Store) -> RunKey | None:
        found = look(store)
        both.wait(30)
        return found

    monkeypatch.setattr(module, "find", looked)
    leaders = [threading.Thread(target=lambda: keys.append(create(store))) for _ in range(2)]
    for leader in leaders:
        leader.start()
    for leader in leaders:
        leader.join(30)
    assert same(*keys)


def test_a_signature_is_hmac_sha256_of_the_purpose_and_the_data() -> None:
    signature = RunKey(SECRET).sign("note", b"data")
    assert signature == hmac.new(SECRET, b"note\0data", hashlib.sha256).digest()


def test_only_the_same_data_for_the_same_purpose_with_the_same_key_verifies() -> None:
    key = RunKey(SECRET)
    signature = key.sign("note", b"data")
    assert key.verify("note", b"data", signature)
    assert not key.verify("rendezvous", b"data", signature)
    assert not key.verify("note", b"Data", signature)
    assert not key.verify("note", b"data", signature[:-1])
    assert not key.verify("note", b"data", b"")
    assert not RunKey(SECRET[::-1]).verify("note", b"data", signature)


def test_no_text_shows_any_of_a_key() -> None:
    key = RunKey(SECRET)
    for text in (repr(key), str(key), f"{key}", repr(key.sign), repr([key])):
        assert "ABC" not in text
    assert not hasattr(key, "__dict__")


def test_a_key_is_not_copied_to_another_process() -> None:
    for copied in (pickle.dumps, copy.deepcopy):
        with pytest.raises(TypeError, match="not copied"):
            copied(RunKey(SECRET))


@pytest.mark.parametrize("content", [b"", b"short", bytes(33)])
def test_an_object_that_is_no_key_is_refused_without_its_content(store: Store, content: bytes) -> None:
    store.put("key", content)
    for look in (create, find):
        with pytest.raises(SpecError, match=rf"key has {len(content)} bytes") as refused:
            look(store)
        assert "short" not in str(refused.value)
