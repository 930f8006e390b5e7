"""The Prometheus endpoint of a node. The only module that imports prometheus_client.

A node has one endpoint for all of its workers, whose events it counts. Ranks go in step, so step, epoch and learning
rate are the same on all; the loss and the time of a step are those of the node's lowest rank; samples, reader waits and
device memory are summed over the node's ranks. Sum over `node` in a query for the whole run.
"""

import math
import re
import time
from typing import Any, Final, TypeVar

import prometheus_client
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from trainer import contract
from trainer.errors import SpecError
from trainer.telemetry.events import (
    AttemptBegun,
    Checkpointed,
    Evaluated,
    Event,
    Progressed,
    Restarted,
    StageBegun,
    StageDone,
    Step,
    Transferred,
    Uploaded,
)

_IDENTITY: Final = ("run", "node", "task")
_STEP_BUCKETS: Final = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0)
_METRIC_NAMES: Final = ("norm_edit_dis", "precision", "recall", "hmean", "acc", "fps")
_WORD: Final = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,63}")

M = TypeVar("M", Counter, Gauge, Histogram)


SCRAPE: Final = 10.0
"""Seconds that a connection of the metrics port may be silent."""

SCRAPERS: Final = 32
"""Connections of the metrics port at once; a scrape takes milliseconds."""


class Metrics:
    """The numbers of one node of a run."""

    def __init__(self, *, run: str, node: int, task: str) -> None:
        """Make the series; nothing listens before `serve`.

        Args:
            run: the run id.
            node: the node's rank.
            task: `det` or `rec`.
        """
        # The moment a series was made says nothing about a run, and doubles the page.
        prometheus_client.disable_created_metrics()  # type: ignore[no-untyped-call]
        self._registry = CollectorRegistry()
        self._identity = {"run": run, "node": str(node), "task": task}
        self._lowest_rank = math.inf
        self._memory: dict[int, float] = {}
        self._server: Any = None
        self._make_gauges()
        self._make_counters()
        self._checkpointed = time.time()
        self._of(self._checkpoint_age).set_function(lambda: time.time() - self._checkpointed)
        self._phase_is(None)
        self._of(self._progress).set_to_current_time()

    def _make_gauges(self) -> None:
        self._phase = self._gauge("phase", "1 for the node's current stage, 0 for the others", "stage")
        self._attempt = self._gauge("attempt", "Number of the gang's attempt, from 1")
        self._step = self._gauge("step", "Optimizer steps since the start of the run")
        self._epoch = self._gauge("epoch", "Current epoch, from 1")
        self._loss = self._gauge("loss", "Loss of the last step on the node's lowest rank", "part")
        self._eval = self._gauge("eval_metric", "Result of the last evaluation during training", "metric", "network")
        self._rate = self._gauge("learning_rate", "Learning rate of the last step")
        self._checkpoint_age = self._gauge(
            "checkpoint_age_seconds", "Time since the last checkpoint, or since the node started if there is none"
        )
        self._push_seconds = self._gauge("checkpoint_push_seconds", "Duration of the last checkpoint upload")
        self._progress = self._gauge("last_progress_timestamp_seconds", "Unix time of the node's last progress")
        self._device_memory = self._gauge("device_memory_bytes", "Peak device memory, summed over the node's ranks")

    def _make_counters(self) -> None:
        self._samples = self._counter("samples", "Training samples seen, summed over the node's ranks")
        self._reader_wait = self._counter(
            "reader_wait_seconds", "Time that devices were idle for want of samples, summed over the node's ranks"
        )
        self._transfer = self._counter(
            "transfer_bytes", "Bytes downloaded from (pull) and uploaded to (push) the bucket", "direction"
        )
        self._restarts = self._counter("restarts", "Restarts of the workers", "reason")
        self._step_seconds = Histogram(
            "ocrfleet_step_seconds",
            "Duration of a training step on the node's lowest rank",
            _IDENTITY,
            buckets=_STEP_BUCKETS,
            registry=self._registry,
        )

    def serve(self, port: int, *, host: str = "127.0.0.1") -> int:
        """Listen for scrapes, on a thread of its own, until `close`.

        Args:
            port: TCP port; 0 takes a free one.
            host: address to listen on: loopback only, unless it is, say, `0.0.0.0`, as in a pod.

        Returns:
            The port.

        Raises:
            SpecError: the port is in use or not allowed.
        """
        try:
            self._server, _ = prometheus_client.start_http_server(port, host, self._registry)
            _limit(self._server)
        except OSError as error:
            raise SpecError(
                f"Cannot listen on the metrics port {port} ({error.strerror}). Choose another with --metrics-port, or "
                "0 for any free port."
            ) from error
        return int(self._server.server_port)

    def close(self) -> None:
        """Stop listening; the values stay, for `snapshot`."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def snapshot(self) -> bytes:
        """Return all values in the format of a scrape, since a job ends before its last scrape."""
        return generate_latest(self._registry)

    def hear(self, event: Event) -> None:
        """Update the series from an event; events without a series are ignored."""
        match event:
            case StageBegun(stage=stage):
                self._phase_is(stage)
            case StageDone():
                self._phase_is(None)
            case AttemptBegun(number=number):
                self._of(self._attempt).set(number)
            case Restarted(reason=reason):
                self._of(self._restarts, reason=reason).inc()
            case Transferred(direction=direction, count=count):
                self._of(self._transfer, direction=direction).inc(count)
            case Uploaded(seconds=seconds):
                self._of(self._push_seconds).set(seconds)
            case Step():
                self._hear_step(event)
            case Evaluated():
                for name, value in event.metrics.items():
                    metric, network = _metric_and_network(name)
                    self._of(self._eval, metric=metric, network=network).set(_number(value))
            case Checkpointed():
                self._checkpointed = time.time()
            case Progressed():
                pass
            case _:
                return
        self._of(self._progress).set_to_current_time()

    def _phase_is(self, stage: str | None) -> None:
        for name in contract.STAGES:
            self._of(self._phase, stage=name).set(int(name == stage))

    def _hear_step(self, event: Step) -> None:
        rank = event.rank or 0
        self._of(self._samples).inc(event.samples)
        self._of(self._reader_wait).inc(max(0.0, event.reader_seconds))
        if event.device_memory_bytes is not None:
            self._memory[rank] = event.device_memory_bytes
            self._of(self._device_memory).set(sum(self._memory.values()))
        self._lowest_rank = min(self._lowest_rank, rank)
        if rank == self._lowest_rank:
            self._of(self._step).set(event.step)
            self._of(self._epoch).set(event.epoch)
            self._of(self._rate).set(event.lr)
            for _ in range(event.count):
                self._of(self._step_seconds).observe(event.seconds / event.count)
            for part, value in event.loss.items():
                self._of(self._loss, part=_word(part)).set(_number(value))

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        return Gauge(f"ocrfleet_{name}", text, (*_IDENTITY, *labels), registry=self._registry)

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"ocrfleet_{name}", text, (*_IDENTITY, *labels), registry=self._registry)

    def _of(self, metric: M, /, **labels: str) -> M:
        return metric.labels(**self._identity, **labels)


def _number(value: float | None) -> float:
    return math.nan if value is None else value


def _word(text: str) -> str:
    """Let only a short word become a label: no sentence, no path, and so no secret."""
    return text if _WORD.fullmatch(text) else "other"


def _metric_and_network(name: str) -> tuple[str, str]:
    """Take `Teacher_acc` apart as PaddleOCR's distillation metrics spell it; a plain name is the main network's."""
    for metric in _METRIC_NAMES:
        if name.endswith(f"_{metric}"):
            return metric, _word(name.removesuffix(f"_{metric}"))
    return _word(name), "main"


def _limit(server: Any) -> None:
    """Limit a metrics server's connections and how long each may be silent: any host in the network may open some."""
    handler = server.RequestHandlerClass
    server.RequestHandlerClass = type(handler.__name__, (handler,), {"timeout": SCRAPE})
    connected = set[Any]()
    shut_down = server.shutdown_request

    def verify(request: Any, _: Any) -> bool:
        if len(connected) >= SCRAPERS:
            return False
        connected.add(request)
        return True

    def close(request: Any) -> None:
        connected.discard(request)
        shut_down(request)

    server.verify_request, server.shutdown_request = verify, close
