"""Channels: who may move them, and what they remember; on a folder."""

import json
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.unit.trainer.registry.published import published
from trainer.errors import ConflictError, NotFoundError, SpecError, TransientError
from trainer.registry import channels
from trainer.registry.channels import Channel, Promotion
from trainer.storage import Store
from trainer.storage.files import FileStore


def test_a_channel_is_stored_with_the_run_that_it_points_at(store: Store) -> None:
    """Readers in other languages need no history."""
    published(store, "lines-1")
    made = channels.promote(store, "lines-1", "production")
    raw = json.loads(store.get("channels/production.json"))
    assert [len(entry["id"]) for entry in raw["history"]] == [16]
    assert (raw["apiVersion"], raw["kind"], raw["name"], raw["run"]) == (
        "ocrfleet.io/v1",
        "Channel",
        "production",
        "lines-1",
    )
    data = store.get("channels/production.json")
    assert data == made.to_json()
    assert data.decode().splitlines()[3] == ' "run": "lines-1",', "a line a field, for whoever looks with other tools"
    assert data.endswith(b"}\n")
    assert channels.find(store, "production") == made
    assert channels.find(store, "candidate") is None


def channel(name: str = "production", **changes: object) -> bytes:
    entry = {"run": "lines-1", "at": "2026-01-01T00:00:00.000Z", "id": "0" * 16, **changes}
    return json.dumps({"name": name, "history": [entry]}).encode()


STRANGE = {
    "empty": b"",
    "not UTF-8": b"\xff",
    "nested too deeply": b"[" * 100_000,
    "a list": b"[]",
    "no history": b'{"name": "production"}',
    "an empty history": b'{"name": "production", "history": []}',
    "an entry without a time": b'{"name": "production", "history": [{"run": "y"}]}',
    "a run that is a path": channel(run="../../elsewhere"),
    "a run with a newline": channel(run="lines-1\n"),
    "a number for a time": channel(at=1),
    "another channel": channel("candidate"),
}


@pytest.mark.parametrize("data", STRANGE.values(), ids=STRANGE)
def test_what_is_no_channel_is_refused_when_named_and_skipped_in_the_list(
    store: Store, data: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    store.put("channels/production.json", data)
    store.put("channels/Candidate.json", channel("Candidate"))
    store.put("channels/good.json", channel("good"))
    with pytest.raises(SpecError, match=r"channels/production\.json is not a channel"):
        channels.find(store, "production")
    assert [found.name for found in channels.list_channels(store)] == ["good"]
    assert [record.getMessage().partition(" is not ")[0] for record in caplog.records] == [
        "Skipped: 'Candidate'",
        f"Skipped: {store.uri}channels/production.json",
    ]


def test_channels_are_listed_and_what_lies_beside_them_is_not(store: Store) -> None:
    assert channels.list_channels(store) == []
    published(store, "lines-1")
    for name in ("production", "candidate"):
        channels.promote(store, "lines-1", name)
    for key in ("channels/notes.txt", "channels/old/production.json"):
        store.put(key, b"of a user")
    assert [channel.name for channel in channels.list_channels(store)] == ["candidate", "production"]


def test_a_run_that_is_not_published_is_not_promoted(store: Store) -> None:
    with pytest.raises(NotFoundError, match="lines-1"):
        channels.promote(store, "lines-1", "production")
    assert channels.list_channels(store) == []


def test_a_channel_keeps_its_history(store: Store) -> None:
    for run in ("lines-1", "lines-2"):
        published(store, run)
    for run in ("lines-1", "lines-2", "lines-1"):
        channels.promote(store, run, "production")
    assert channels.promote(store, "lines-1", "production").run == "lines-1"  # already there: nothing is written
    (found,) = channels.list_channels(store)
    assert [promotion.run for promotion in found.history] == ["lines-1", "lines-2", "lines-1"]


def test_a_run_that_is_started_again_does_not_undo_a_newer_promotion(store: Store) -> None:
    for run in ("lines-1", "lines-2"):
        published(store, run)
        channels.promote_once(store, run, channel="candidate")
    assert channels.promote_once(store, "lines-1", channel="candidate").run == "lines-2"


def test_writers_of_one_channel_all_enter_its_history(store: Store) -> None:
    runs = [f"lines-{n}" for n in range(8)]
    for run in runs:
        published(store, run)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda run: channels.promote(store, run, "production"), runs))
    (found,) = channels.list_channels(store)
    assert sorted(promotion.run for promotion in found.history) == runs


@pytest.mark.parametrize("name", ["Production", "a/b", "", "../x", "x-"])
def test_a_channel_name_that_is_none_is_refused(store: Store, name: str) -> None:
    published(store, "lines-1")
    with pytest.raises(SpecError, match="is not a valid channel name"):
        channels.promote(store, "lines-1", name)


class Careless(FileStore):
    """A store that does not look at conditions, as some S3 servers do not."""

    def put(self, key: str, data: bytes, *, if_absent: bool = False, if_match: str | None = None) -> str:
        return super().put(key, data)

    def below(self, folder: str) -> "Careless":
        return Careless(self.root / folder)


def test_promotion_without_conditional_writes_needs_the_users_word(tmp_path: Path) -> None:
    store = Careless(tmp_path)
    published(store, "lines-1")
    assert not store.conditional_writes()
    with pytest.raises(SpecError, match="--single-writer"):
        channels.promote(store, "lines-1", "production")
    assert channels.list_channels(store) == []
    assert channels.promote(store, "lines-1", "production", single_writer=True).run == "lines-1"


def test_where_a_channel_points_there_already_nothing_is_written_nor_asked(tmp_path: Path) -> None:
    store = FileStore(tmp_path)
    published(store, "lines-1")
    first = channels.promote(store, "lines-1", "production")
    etag = store.etag("channels/production.json")
    careless = Careless(tmp_path)
    assert channels.promote(careless, "lines-1", "production") == first
    assert channels.promote_once(careless, "lines-1", channel="production") == first
    assert store.etag("channels/production.json") == etag


class Raced(FileStore):
    """A store where others write, before or after our own write, which is then told to have failed."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.others: list[str] = []
        """Runs that another writer promotes before our next write."""
        self.lost: list[str] | None = None
        """Our next write is done, then these are promoted, then its answer is lost and asked for again."""

    def put(self, key: str, data: bytes, *, if_absent: bool = False, if_match: str | None = None) -> str:
        if key.startswith("channels/"):
            others, self.others = self.others, []
            for run in others:
                channels.promote(FileStore(self.root), run, "production")
            if self.lost is not None:
                lost, self.lost = self.lost, None
                super().put(key, data, if_absent=if_absent, if_match=if_match)
                for run in lost:
                    channels.promote(FileStore(self.root), run, "production")
                raise ConflictError("It has been changed by another writer since it was read.")
        return super().put(key, data, if_absent=if_absent, if_match=if_match)


def history(store: Store) -> list[str]:
    (found,) = channels.list_channels(store)
    return [promotion.run for promotion in found.history]


@pytest.fixture
def raced(tmp_path: Path) -> Raced:
    store = Raced(tmp_path)
    for run in ("lines-1", "lines-2", "lines-3"):
        published(store, run)
    return store


def test_a_write_whose_answer_was_lost_is_not_done_twice(raced: Raced) -> None:
    """Though somebody else has promoted another run since."""
    raced.lost = ["lines-2"]
    assert channels.promote(raced, "lines-1", "production").run == "lines-2"
    assert history(raced) == ["lines-1", "lines-2"]


def test_what_another_writer_has_done_meanwhile_is_not_done_again(raced: Raced) -> None:
    raced.others = ["lines-3", "lines-1"]
    assert channels.promote(raced, "lines-1", "production").run == "lines-1"
    assert history(raced) == ["lines-3", "lines-1"]


def test_what_another_writer_has_done_meanwhile_is_kept(raced: Raced) -> None:
    for others, run in ((["lines-1"], "lines-2"), (["lines-3"], "lines-1")):
        raced.others = others
        assert channels.promote(raced, run, "production").run == run
    assert history(raced) == ["lines-1", "lines-2", "lines-3", "lines-1"]


def test_a_run_that_another_writer_has_promoted_and_replaced_meanwhile_stays_replaced(raced: Raced) -> None:
    raced.others = ["lines-1", "lines-2"]
    assert channels.promote_once(raced, "lines-1", channel="production").run == "lines-2"
    assert history(raced) == ["lines-1", "lines-2"]


class Busy(FileStore):
    """A store where each write of a channel finds another's."""

    tries = 0

    def put(self, key: str, data: bytes, *, if_absent: bool = False, if_match: str | None = None) -> str:
        if key.startswith("channels/production"):
            self.tries += 1
            raise ConflictError("It has been changed by another writer since it was read.")
        return super().put(key, data, if_absent=if_absent, if_match=if_match)


def test_a_writer_that_is_never_first_gives_up_for_now(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert channels._TRIES == 600
    monkeypatch.setattr("trainer.registry.channels._TRIES", 40)
    store = Busy(tmp_path)
    published(store, "lines-1")
    began = time.monotonic()
    with pytest.raises(TransientError, match=r"channel 'production'.*40 times"):
        channels.promote(store, "lines-1", "production")
    assert store.tries == 40
    assert 0.5 < time.monotonic() - began < 12, (
        "some 20 tries a second: two writers do not meet again, and none is busy"
    )


def test_a_single_writer_needs_no_condition(tmp_path: Path) -> None:
    store = Careless(tmp_path)
    for run in ("lines-1", "lines-2"):
        published(store, run)
        channels.promote_once(store, run, channel="candidate", single_writer=True)
        channels.promote(store, run, "production", single_writer=True)
    assert [channel.run for channel in channels.list_channels(store)] == ["lines-2", "lines-2"]


def test_each_promotion_says_when_it_was() -> None:
    """Oldest first; the channel points where the last one does."""
    history = tuple(Promotion(run=run, at="2026-01-01T00:00:00.000Z", id=run) for run in ("lines-1", "lines-2"))
    made = Channel(name="production", history=history)
    assert made.run == "lines-2"
    assert Channel.from_json(made.to_json(), name=made.name, source="here") == made
