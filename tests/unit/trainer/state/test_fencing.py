"""Attempts of one run, claimed by several objects and processes."""

import queue
import threading
from pathlib import Path

import pytest

from trainer.errors import OcrfleetError, SupersededError, TransientError
from trainer.state.fencing import Claims, Fence, TakenError
from trainer.storage import Store, open_store


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store((tmp_path / "bucket").as_uri())


def claims(store: Store, name: str) -> Claims:
    """Give a process's claims: `a1` is the first process of object `a`."""
    return Claims(store=store, owner=name[0], process=name)


def test_attempts_are_numbered_and_each_object_knows_its_own(store: Store) -> None:
    first, second = claims(store, "a1"), claims(store, "b1")
    assert first.latest() == 1
    assert [first.claim(), first.claim(), second.claim()] == [1, 2, 3]
    assert (first.latest(), second.latest()) == (2, 3)


def test_a_newer_object_fences_the_older_in_all_its_processes(store: Store) -> None:
    older, newer = claims(store, "a1"), claims(store, "b1")
    attempt = older.claim()
    older.require(attempt)
    newest = newer.claim()
    newer.require(newest)
    for process in (older, claims(store, "a2")):
        with pytest.raises(SupersededError, match=r"belongs to b now, which was started after a"):
            process.require(attempt)
        with pytest.raises(SupersededError, match=r"raise placement\.retry"):
            process.claim()
    assert claims(store, "b2").claim() == newest + 1


def test_a_pod_whose_successor_has_claimed_ends_without_ending_the_object(store: Store) -> None:
    old, successor = claims(store, "a1"), claims(store, "a2")
    attempt = old.claim()
    successor.claim()
    with pytest.raises(TakenError, match="attempt 2") as caught:
        old.require(attempt)
    assert isinstance(caught.value, TransientError)


def test_of_many_that_claim_at_once_each_gets_a_number_of_its_own(store: Store) -> None:
    got: queue.SimpleQueue[int] = queue.SimpleQueue()
    threads = [threading.Thread(target=lambda: got.put(claims(store, "a1").claim())) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(got.get_nowait() for _ in threads) == list(range(1, 9))


def test_attempts_of_an_earlier_version_are_an_older_objects(store: Store) -> None:
    store.put("attempts/1", b"{}")
    assert claims(store, "a1").claim() == 2


def test_the_fence_tells_once_and_outlives_a_bucket_out_of_reach(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trainer.state.fencing.POLL", 0.01)
    answers: list[OcrfleetError | None] = [None, TransientError("down"), SupersededError("gone"), SupersededError("2")]
    told: queue.SimpleQueue[OcrfleetError] = queue.SimpleQueue()

    def require() -> None:
        answer = answers.pop(0)
        if answer:
            raise answer

    fence = Fence(require, on_lost=told.put)
    assert str(told.get(timeout=10)) == "gone"
    fence.close()
    assert told.empty()
    assert len(answers) == 1
