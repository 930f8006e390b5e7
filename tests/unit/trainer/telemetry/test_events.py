"""What a worker tells its supervisor, over a real pipe."""

import io
import math
import os
from typing import Any

import numpy as np
import pytest

from trainer import contract
from trainer.telemetry import events
from trainer.telemetry.events import Checkpointed, Evaluated, Events, Failed, Finished, Ready, Step


def step(**fields: Any) -> Step:
    usual = {"step": 7, "steps": 9, "epoch": 1, "epochs": 2, "lr": 0.1, "samples": 8, "seconds": 0.5}
    return Step(**{**usual, "loss": {"loss": 0.5}, "reader_seconds": 0.0, **fields})


def sent(*told: events.Event) -> list[events.Event]:
    stream = io.BytesIO()
    sender = Events(3, stream)
    for each in told:
        sender.send(each)
    stream.seek(0)
    return list(events.read(stream))


def test_events_come_as_they_were_sent_with_the_rank(monkeypatch: pytest.MonkeyPatch) -> None:
    reading, writing = os.pipe()
    os.set_inheritable(writing, True)
    monkeypatch.setenv(contract.ENV_EVENTS_FD, str(writing))
    sender = Events.from_environment(3)
    assert contract.ENV_EVENTS_FD not in os.environ, "a reader process must not take it for its own"
    assert not os.get_inheritable(writing)
    with os.fdopen(reading, "rb") as stream:
        sender.send(step())
        assert next(events.read(stream)) == step(rank=3)
    assert sender._stream
    sender._stream.close()


def test_an_event_that_was_cut_short_is_none() -> None:
    reading, writing = os.pipe()
    os.write(writing, b'{"event": "ready", "pid": 1}\n{"event": "st')
    os.close(writing)
    with os.fdopen(reading, "rb") as stream:
        assert list(events.read(stream)) == [Ready(pid=1)]


def test_without_a_supervisor_events_are_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(contract.ENV_EVENTS_FD, raising=False)
    Events.from_environment(0).send(Ready(pid=1))


def test_numbers_of_numpy_and_numbers_that_are_none_arrive() -> None:
    """PaddleOCR's metrics are numpy's; a part of a loss may be infinite while the loss is looked at."""
    found = Evaluated(step=7, epoch=1, metrics={"acc": np.float64(0.5)}, best=True, seconds=0.1)
    assert sent(step(loss={"loss": 1.0, "a": math.nan, "b": math.inf}), found) == [
        step(rank=3, loss={"loss": 1.0, "a": None, "b": None}),
        Evaluated(rank=3, step=7, epoch=1, metrics={"acc": 0.5}, best=True, seconds=0.1),
    ]


def test_a_path_that_is_no_text_does_not_end_a_worker() -> None:
    assert sent(Failed(code=41, message="The image \udcff.jpg …")) == [
        Failed(rank=3, code=41, message="The image ?.jpg …")
    ]


def test_what_no_json_can_hold_is_an_error_of_the_sender() -> None:
    with pytest.raises(TypeError, match="object"):
        sent(Finished(facts={"model": object()}))


def test_each_kind_has_a_name_of_its_own_and_says_whether_it_is_logged() -> None:
    names = [kind.__struct_config__.tag for kind in events.KINDS]
    assert len(set(names)) == len(names) == len(events.Event.__subclasses__())
    assert {kind.__struct_config__.tag for kind in events.KINDS if not kind.logged} == {
        "ready",
        "finished",
        "transferred",
    }


def test_an_events_keys_are_those_that_are_set() -> None:
    assert events.fields(Checkpointed(step=7, seconds=0.5)) == {"event": "checkpointed", "step": 7, "seconds": 0.5}


@pytest.mark.parametrize(
    "line",
    [b"no JSON", b'{"event":"\\u001b[2J"}', b'{"event":"notice","message":"\xff"}', b"[" * 100_000],
    ids=["no JSON", "no such event", "no text", "nested too deeply"],
)
def test_a_line_that_is_no_event_is_left_out_and_named_without_its_text(
    caplog: pytest.LogCaptureFixture, line: bytes
) -> None:
    """The thread that listens to a worker goes on."""
    ready = events.encode(Ready(pid=1))
    assert list(events.read(io.BytesIO(b"\n".join([ready, line, ready, b""])))) == [Ready(pid=1)] * 2
    assert "A worker wrote a line that is no event" in caplog.text
    assert "\x1b" not in caplog.text
