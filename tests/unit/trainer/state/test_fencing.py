"""Attempts of one run, claimed by several objects and processes."""

import queue
import threading
from pathlib import Path

import pytest

from trainer.errors import OcrfleetError, SupersededError, TransientError
from trainer.state import fencing
from trainer.state.fencing import Claims, Fence, TakenError
from trainer.storage import Store, open_store
from trainer.storage.files import FileStore


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
        with pytest.raises(SupersededError, match=r"b now owns this run: it was started after a"):
            process.require(attempt)
        with pytest.raises(SupersededError, match=r"raise placement\.retry"):
            process.claim()
    assert claims(store, "b2").claim() == newest + 1


def test_an_object_stays_fenced_whatever_number_of_newer_ones_came_since(store: Store) -> None:
    """Its own claim may be far back, and has more than one digit between it and the newest."""
    oldest, older = claims(store, "a1"), claims(store, "b1")
    assert [oldest.claim() for _ in range(8)] == list(range(1, 9))
    assert older.claim() == 9
    assert claims(store, "c1").claim() == 10
    assert claims(store, "d1").claim() == 11
    for process, attempt in ((oldest, 8), (older, 9)):
        with pytest.raises(SupersededError, match="d now owns this run"):
            process.claim()
        with pytest.raises(SupersededError, match="d now owns this run"):
            process.require(attempt)


def test_attempts_are_counted_as_numbers(store: Store) -> None:
    """As text, 9 comes after 10."""
    process = claims(store, "a1")
    assert [process.claim() for _ in range(11)] == list(range(1, 12))
    assert process.latest() == 11
    process.require(11)
    newer = claims(store, "b1")
    assert newer.claim() == 12
    assert (process.latest(), newer.latest()) == (11, 12)


def test_the_newest_object_may_claim_again_and_its_last_claim_holds(store: Store) -> None:
    claims(store, "a1").claim()
    newest = claims(store, "b1")
    first = newest.claim()
    assert newest.claim() == first + 1
    newest.require(first + 1)
    newest.require(first)


def test_where_nothing_is_claimed_nobody_else_holds_the_run(store: Store) -> None:
    """As when its owner has emptied the bucket under a run that is at work."""
    claims(store, "a1").require(1)


def test_what_else_lies_among_the_claims_is_none(store: Store) -> None:
    for name in ("notes.txt", "²", "٣", "007", "0", "old/5"):
        store.put(f"attempts/{name}", b"of a user")
    assert claims(store, "a1").claim() == 1


class Outrun(FileStore):
    """A store where another process is always a moment faster."""

    puts = 0

    def put(self, key: str, data: bytes, *, if_absent: bool = False, if_match: str | None = None) -> str:
        if self.puts < 20:
            self.puts += 1
            super().put(key, b'{"object": "a", "process": "other"}', if_absent=if_absent, if_match=if_match)
        return super().put(key, data, if_absent=if_absent, if_match=if_match)


def test_a_process_that_is_outrun_each_time_gives_up_for_now(tmp_path: Path) -> None:
    store = Outrun(tmp_path)
    with pytest.raises(TransientError, match="20 times"):
        claims(store, "a1").claim()
    assert claims(store, "a1").claim() == 21


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


@pytest.mark.parametrize(
    "content",
    [b'{"object": "\xff"}', b"", b"[]", b'{"object": 1}', b"[" * 100_000],
    ids=lambda content: repr(content[:15]),
)
def test_a_damaged_claim_is_named_once_and_ignored(
    store: Store, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    older = claims(store, "a1")
    assert older.claim() == 1
    store.put("attempts/2", content)
    older.require(1)
    older.require(1)
    assert older.latest() == 1
    assert [record.message.partition(":")[0] for record in caplog.records] == ["file"]
    assert f"{store.uri}attempts/2 is damaged and was ignored: " in caplog.text
    newer = claims(store, "b1")
    assert newer.claim() == 3, "its number is taken"
    store.put("attempts/4", content)
    with pytest.raises(SupersededError, match="b now owns this run"):
        older.require(1)
    with pytest.raises(SupersededError, match="b now owns this run"):
        older.claim()


def test_an_object_notices_within_a_quarter_of_a_minute_that_it_is_superseded() -> None:
    assert fencing.POLL == 15


def test_the_fence_tells_once_and_outlives_a_bucket_out_of_reach(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
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
    assert [record.message.endswith("down") for record in caplog.records] == [True]


def test_the_fence_tells_of_a_successor_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trainer.state.fencing.POLL", 0.01)
    told: queue.SimpleQueue[OcrfleetError] = queue.SimpleQueue()

    def require() -> None:
        raise TakenError("by attempt 2")

    fence = Fence(require, on_lost=told.put)
    assert str(told.get(timeout=10)) == "by attempt 2"
    fence.close()


def test_a_fence_that_fails_ends_the_work_instead_of_watching_no_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trainer.state.fencing.POLL", 0.01)
    told: queue.SimpleQueue[OcrfleetError] = queue.SimpleQueue()

    def require() -> None:
        raise KeyError("a fault of ours")

    Fence(require, on_lost=told.put)
    error = told.get(timeout=10)
    assert isinstance(error, TransientError)
    assert str(error) == "The check for a newer object of this run failed: KeyError('a fault of ours')."


def test_a_closed_fence_watches_no_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trainer.state.fencing.POLL", 0.01)
    looks: queue.SimpleQueue[threading.Thread] = queue.SimpleQueue()
    fence = Fence(lambda: looks.put(threading.current_thread()), on_lost=lambda error: None)
    watching = looks.get(timeout=10)
    fence.close()
    watching.join(10)
    assert not watching.is_alive()
    assert watching.daemon, "a process must not wait for its fence"
