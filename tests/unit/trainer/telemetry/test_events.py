"""What a worker tells its supervisor, over a real pipe."""

import os

import pytest

from trainer import contract
from trainer.telemetry import events
from trainer.telemetry.events import Events


def test_events_come_as_they_were_sent_with_the_rank(monkeypatch: pytest.MonkeyPatch) -> None:
    reading, writing = os.pipe()
    os.set_inheritable(writing, True)
    monkeypatch.setenv(contract.ENV_EVENTS_FD, str(writing))
    sender = Events.from_environment(3)
    assert contract.ENV_EVENTS_FD not in os.environ, "a reader process must not take it for its own"
    assert not os.get_inheritable(writing)
    with os.fdopen(reading, encoding="utf-8") as stream:
        sender.send("step", step=7, loss={"loss": 0.5})
        assert next(events.read(stream)) == {"event": "step", "rank": 3, "step": 7, "loss": {"loss": 0.5}}
    assert sender._stream
    sender._stream.close()


def test_an_event_that_was_cut_short_is_none() -> None:
    reading, writing = os.pipe()
    os.write(writing, b'{"event": "ready"}\n{"event": "st')
    os.close(writing)
    with os.fdopen(reading, encoding="utf-8") as stream:
        assert list(events.read(stream)) == [{"event": "ready"}]


def test_without_a_supervisor_events_are_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(contract.ENV_EVENTS_FD, raising=False)
    Events.from_environment(0).send("ready")
