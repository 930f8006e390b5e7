"""The metrics endpoint, scraped over HTTP and read by Prometheus' own parser."""

import math
import socket
import threading
import time
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from trainer import contract
from trainer.errors import SpecError
from trainer.telemetry.events import (
    AttemptBegun,
    Checkpointed,
    Evaluated,
    Event,
    Notice,
    Progressed,
    Restarted,
    StageBegun,
    StageDone,
    Step,
    Transferred,
    Uploaded,
)
from trainer.telemetry.metrics import Metrics

Series = dict[tuple[str, frozenset[tuple[str, str]]], float]
IDENTITY = {"run": "receipts-rec-0a1b2c3d", "node": "0", "task": "rec"}
NAMES = {
    "ocrfleet_phase",
    "ocrfleet_attempt",
    "ocrfleet_step",
    "ocrfleet_epoch",
    "ocrfleet_loss",
    "ocrfleet_eval_metric",
    "ocrfleet_samples_total",
    "ocrfleet_step_seconds",
    "ocrfleet_reader_wait_seconds_total",
    "ocrfleet_learning_rate",
    "ocrfleet_checkpoint_age_seconds",
    "ocrfleet_checkpoint_push_seconds",
    "ocrfleet_transfer_bytes_total",
    "ocrfleet_last_progress_timestamp_seconds",
    "ocrfleet_restarts_total",
    "ocrfleet_device_memory_bytes",
}


@pytest.fixture
def metrics() -> Iterator[Metrics]:
    made = Metrics(run=IDENTITY["run"], node=0, task="rec")
    yield made
    made.close()


def step(rank: int = 0, **fields: Any) -> Step:
    usual: dict[str, Any] = {"step": 12, "steps": 400, "epoch": 3, "epochs": 20, "lr": 1e-3, "loss": {"loss": 0.5}}
    return Step(**{**usual, "samples": 32, "seconds": 0.4, "reader_seconds": 0.01, **fields}, rank=rank)


def evaluated(**metrics: float | None) -> Evaluated:
    return Evaluated(rank=0, step=12, epoch=3, metrics=metrics, best=True, seconds=0.5)


def parse(text: str) -> Series:
    families = text_string_to_metric_families(text)
    return {(s.name, frozenset(s.labels.items())): s.value for family in families for s in family.samples}


def value(metrics: Metrics, name: str, **labels: str) -> float:
    return parse(metrics.snapshot().decode())[name, frozenset({**IDENTITY, **labels}.items())]


def fill(metrics: Metrics) -> None:
    metrics.hear(StageBegun(stage="train"))
    metrics.hear(AttemptBegun(number=2))
    metrics.hear(Restarted(reason="peer-lost", message="Node 1 was lost."))
    metrics.hear(Transferred(direction="pull", count=1000))
    metrics.hear(step(loss={"loss": 0.5, "CTCLoss": 0.3}, device_memory_bytes=2**30))
    metrics.hear(evaluated(acc=0.9))
    metrics.hear(Uploaded(step=12, seconds=1.5))


def test_a_scrape_gives_every_series_of_the_interface_with_run_node_and_task(metrics: Metrics) -> None:
    fill(metrics)
    port = metrics.serve(0)
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as response:
        families = list(text_string_to_metric_families(response.read().decode()))
    counters = {f"{f.name}_total" if f.type == "counter" else f.name for f in families}
    assert counters == NAMES
    for family in families:
        assert family.samples, family.name
        for sample in family.samples:
            assert IDENTITY.items() <= sample.labels.items()


def test_the_phase_is_one_for_the_stage_that_runs_and_zero_for_the_others(metrics: Metrics) -> None:
    metrics.hear(StageBegun(stage="train"))
    assert {s: value(metrics, "ocrfleet_phase", stage=s) for s in contract.STAGES} == {
        s: float(s == "train") for s in contract.STAGES
    }
    metrics.hear(StageDone(stage="train", seconds=1.0))
    assert value(metrics, "ocrfleet_phase", stage="train") == 0


def test_samples_and_waits_are_summed_over_ranks_and_the_rest_is_the_lowest_ranks(metrics: Metrics) -> None:
    """Node 1 of a run has the ranks 2 and 3, and they may speak in any order."""
    for rank in (2, 3, 3, 2):
        metrics.hear(step(rank, loss={"loss": float(rank)}, device_memory_bytes=100 + rank))
    assert value(metrics, "ocrfleet_samples_total") == 4 * 32
    assert value(metrics, "ocrfleet_reader_wait_seconds_total") == pytest.approx(0.04)
    assert value(metrics, "ocrfleet_device_memory_bytes") == 205
    assert value(metrics, "ocrfleet_loss", part="loss") == 2
    assert value(metrics, "ocrfleet_step_seconds_count") == 2
    assert value(metrics, "ocrfleet_step") == 12
    assert value(metrics, "ocrfleet_learning_rate") == 1e-3


def test_metrics_of_distilled_networks_are_told_apart(metrics: Metrics) -> None:
    found = {"acc": 0.9, "norm_edit_dis": 0.95, "Teacher_acc": 0.8, "Student2_norm_edit_dis": 0.7}
    metrics.hear(evaluated(**found))
    assert value(metrics, "ocrfleet_eval_metric", metric="acc", network="main") == 0.9
    assert value(metrics, "ocrfleet_eval_metric", metric="norm_edit_dis", network="main") == 0.95
    assert value(metrics, "ocrfleet_eval_metric", metric="acc", network="Teacher") == 0.8
    assert value(metrics, "ocrfleet_eval_metric", metric="norm_edit_dis", network="Student2") == 0.7


def test_a_checkpoint_makes_the_age_young_and_progress_recent(metrics: Metrics) -> None:
    metrics._checkpointed -= 100
    assert value(metrics, "ocrfleet_checkpoint_age_seconds") == pytest.approx(100, abs=2)
    metrics.hear(Checkpointed(rank=0, step=12, seconds=0.5))
    assert value(metrics, "ocrfleet_checkpoint_age_seconds") == pytest.approx(0, abs=2)
    assert value(metrics, "ocrfleet_last_progress_timestamp_seconds") == pytest.approx(time.time(), abs=2)


@pytest.mark.parametrize(
    "event",
    [
        StageBegun(stage="train"),
        StageDone(stage="train", seconds=1.0),
        Transferred(direction="push", count=1),
        Uploaded(step=12, seconds=1.5),
        step(),
        evaluated(acc=0.5),
        Checkpointed(step=12, seconds=0.5),
        Progressed(what="check", done=1, total=2),
    ],
    ids=lambda event: type(event).__name__,
)
def test_whatever_gets_a_run_on_is_progress(metrics: Metrics, monkeypatch: pytest.MonkeyPatch, event: Event) -> None:
    monkeypatch.setattr(time, "time", lambda: 12345.0)
    metrics.hear(event)
    assert value(metrics, "ocrfleet_last_progress_timestamp_seconds") == 12345.0


def test_a_notice_is_no_progress(metrics: Metrics) -> None:
    before = value(metrics, "ocrfleet_last_progress_timestamp_seconds")
    metrics.hear(Notice(message="slow", rank=0))
    assert value(metrics, "ocrfleet_last_progress_timestamp_seconds") == before


def test_a_sentence_never_becomes_a_label(metrics: Metrics) -> None:
    """Names come from a configuration; a word at most gets through, so no secret does."""
    metrics.hear(step(loss={"key=s3cr3t": 1.0}))
    metrics.hear(evaluated(**{"key=s3cr3t": 1.0}))
    assert "s3cr3t" not in metrics.snapshot().decode()
    assert value(metrics, "ocrfleet_loss", part="other") == 1
    assert value(metrics, "ocrfleet_eval_metric", metric="other", network="main") == 1


def test_a_number_that_is_none_is_nan(metrics: Metrics) -> None:
    metrics.hear(step(loss={"loss": None}))
    metrics.hear(evaluated(acc=None))
    assert math.isnan(value(metrics, "ocrfleet_loss", part="loss"))
    assert math.isnan(value(metrics, "ocrfleet_eval_metric", metric="acc", network="main"))


def test_the_steps_of_an_event_are_counted_one_by_one(metrics: Metrics) -> None:
    metrics.hear(step(count=4, seconds=2.0))
    assert value(metrics, "ocrfleet_step_seconds_count") == 4
    assert value(metrics, "ocrfleet_step_seconds_sum") == 2


def test_two_metrics_do_not_share_a_registry(metrics: Metrics) -> None:
    metrics.hear(AttemptBegun(number=3))
    assert "ocrfleet_attempt{" not in Metrics(run="other", node=0, task="det").snapshot().decode()


def test_a_taken_port_is_an_error_that_names_the_option(metrics: Metrics) -> None:
    port = metrics.serve(0)
    with pytest.raises(SpecError, match=rf"metrics port {port} .*--metrics-port"):
        Metrics(run="other", node=0, task="det").serve(port)


def test_after_close_nothing_listens_and_the_snapshot_is_still_whole(metrics: Metrics) -> None:
    fill(metrics)
    before = threading.enumerate()
    port = metrics.serve(0)
    (listener,) = set(threading.enumerate()) - set(before)
    metrics.close()
    listener.join(timeout=5)
    assert not listener.is_alive()
    with pytest.raises(OSError, match="refused"):
        urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5)
    assert value(metrics, "ocrfleet_attempt") == 2


def test_idle_connections_are_closed_and_more_than_a_few_refused(
    metrics: Metrics, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stranger in the network must not take the node's file descriptors."""
    monkeypatch.setattr("trainer.telemetry.metrics.SCRAPERS", 2)
    monkeypatch.setattr("trainer.telemetry.metrics.SCRAPE", 0.2)
    port = metrics.serve(0)
    idle = [socket.create_connection(("127.0.0.1", port), timeout=30) for _ in range(3)]
    # Two are closed for their silence, the third at once.
    assert [each.recv(1) for each in idle] == [b""] * 3
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=30) as answer:
        assert b"ocrfleet_step" in answer.read()
    for each in idle:
        each.close()
