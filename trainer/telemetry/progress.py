"""What a person sees of a run: bars on a terminal, plain lines in a pipe. All of it goes to one stream, stderr."""

import sys
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, Final, TextIO

from tqdm import tqdm

_BAR: Final = "{desc} {percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt} [{elapsed}<{remaining}]{postfix}"
_STEPS: Final = "steps"
_EVERY: Final = 10.0
"""Seconds between two lines of routine progress in a pipe."""


class _Bar(tqdm):  # type: ignore[type-arg]  # generic only in its stubs
    """A bar without tqdm's monitor thread: every bar here is moved by events."""

    monitor_interval = 0


class Progress:
    """Shows stages, events of workers, and transfers. Any thread may call it."""

    def __init__(
        self, stream: TextIO | None = None, *, every: float = _EVERY, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Look at the stream and choose bars or lines.

        Args:
            stream: where to write; stderr unless given.
            every: in a pipe, the least seconds between two lines of the same kind of routine progress.
            clock: the time in seconds; for tests.
        """
        self._stream = stream or sys.stderr
        self._terminal = self._stream.isatty()
        self._every = every
        self._clock = clock
        self._lock = threading.RLock()
        self._bars: dict[str, _Bar] = {}
        self._last_line: dict[str, float] = {}
        self._stage = ""
        self._forget()

    def stage(self, name: str) -> None:
        """Say that a stage begins."""
        with self._lock:
            self._close_bars()
            self._forget()
            self._stage = name
            self.line(f"{name} ...")

    def done(self, name: str, seconds: float, facts_line: str = "") -> None:
        """Say that a stage is done, how long it took, and what came of it."""
        with self._lock:
            self._close_bars()
            self.line(f"{name} done in {duration(seconds)}" + (f": {facts_line}" if facts_line else ""))

    def skipped(self, name: str, why: str) -> None:
        """Say that a stage need not run."""
        self.line(f"{name} skipped: {why}")

    def line(self, text: str) -> None:
        """Write a line, above the bars if there are any."""
        with self._lock:
            if self._bars:
                _Bar.write(text, file=self._stream)
            else:
                self._stream.write(text + "\n")
            self._stream.flush()

    def show(self, event: Mapping[str, Any]) -> None:
        """Show what a worker tells; see the events in the documentation of the pipeline."""
        with self._lock:
            match event.get("event"):
                case "step":
                    self._show_step(event)
                case "eval":
                    self._show_eval(event)
                case "progress":
                    self._show_progress(event)
                case "checkpoint" if not self._terminal:
                    self.line(f"{self._stage}: checkpoint at step {event['step']} in {duration(event['seconds'])}")
                case "notice":
                    self.line(f"{self._stage}: {event['message']}")
                case "error":
                    self.line(f"{self._stage}: rank {event.get('rank', '?')}: {event['message']}")

    def transfer(self, what: str, done: int, total: int) -> None:
        """Show bytes that have come or gone.

        Args:
            what: a word for it, such as `pull`.
            done: bytes so far.
            total: bytes in all.
        """
        with self._lock:
            if self._terminal:
                self._move(what, done, total, desc=f"{self._stage}: {what}".lstrip(": "), scaled=True)
                if done >= total:
                    self._close_bar(what)
            elif self._due(f"transfer {what}", final=done >= total):
                self.line(f"{self._stage}: {what} {size(done)} of {size(total)}".lstrip(": "))

    def close(self) -> None:
        """Take the bars away."""
        with self._lock:
            self._close_bars()

    def _forget(self) -> None:
        self._rates: dict[int, float] = {}
        self._shares: dict[str, dict[int | None, tuple[int, int]]] = {}
        self._first: tuple[float, int] | None = None
        self._metric = ""
        self._last_line.clear()

    def _show_step(self, event: Mapping[str, Any]) -> None:
        step, steps = event["step"], event["steps"]
        self._rates[event["rank"]] = event["samples"] / max(event["seconds"], 1e-6)
        if event["rank"] != min(self._rates):
            return
        for name in [name for name in self._bars if name != _STEPS]:
            self._close_bar(name)
        if self._first is None or step <= self._first[1]:  # the first one, or the first after a restart
            self._first = (self._clock() - event["seconds"], step - 1)
        began, first = self._first
        words = [f"loss {event['loss']['loss']:.4g}", self._metric, f"{sum(self._rates.values()):.3g} samples/s"]
        said = ", ".join(word for word in words if word)
        epoch = f"epoch {event['epoch']}/{event['epochs']}"
        if self._terminal:
            self._move(_STEPS, step, steps, desc=f"{self._stage}: {epoch}", said=said)
        elif self._due(_STEPS, final=step == steps):
            left = (self._clock() - began) / (step - first) * (steps - step)
            self.line(f"{self._stage}: {epoch}, step {step}/{steps}, {said}, {duration(left)} left")

    def _show_eval(self, event: Mapping[str, Any]) -> None:
        metrics = event["metrics"]
        main = next((name for name in ("hmean", "acc", *metrics) if name in metrics), None)
        self._metric = f"{main} {metrics[main]:.4f}" if main else ""
        values = ", ".join(f"{name} {value:.4f}" for name, value in metrics.items())
        best = " (best so far)" if event.get("best") else ""
        self.line(
            f"{self._stage}: epoch {event['epoch']}, step {event['step']}, evaluated in {duration(event['seconds'])}: "
            f"{values}{best}"
        )

    def _show_progress(self, event: Mapping[str, Any]) -> None:
        what, unit = event["what"], event.get("unit", "")
        # Each rank counts its own share; the node's own stages have no rank.
        shares = self._shares.setdefault(what, {})
        shares[event.get("rank")] = (event["done"], event["total"])
        done, total = (sum(counts) for counts in zip(*shares.values(), strict=True))
        if self._terminal:
            self._move(what, done, total, desc=self._named(what), said=unit)
        elif self._due(what, final=done >= total):
            self.line(f"{self._named(what)} {done}/{total} {unit}".rstrip())
        if done >= total:
            self._shares.pop(what)
            self._close_bar(what)

    def _named(self, what: str) -> str:
        return what if what == self._stage else f"{self._stage}: {what}".lstrip(": ")

    def _due(self, kind: str, *, final: bool) -> bool:
        """Tell whether a line of routine progress may be written now; the last of a kind always is."""
        now = self._clock()
        if not final and now - self._last_line.get(kind, -self._every) < self._every:
            return False
        self._last_line[kind] = now
        return True

    def _move(self, name: str, done: int, total: int, *, desc: str, said: str = "", scaled: bool = False) -> None:
        bar = self._bars.get(name)
        if bar is None:
            bar = self._bars[name] = _Bar(
                total=total,
                initial=done,  # work that an earlier attempt has done is no part of the speed
                file=self._stream,
                bar_format=_BAR,
                dynamic_ncols=True,
                leave=False,
                position=len(self._bars),
                unit_scale=scaled,
            )
        bar.total = total
        bar.set_description_str(desc, refresh=False)
        bar.set_postfix_str(said, refresh=False)
        bar.update(done - bar.n)

    def _close_bar(self, name: str) -> None:
        bar = self._bars.pop(name, None)
        if bar is not None:
            bar.close()

    def _close_bars(self) -> None:
        for name in list(self._bars):
            self._close_bar(name)


def duration(seconds: float) -> str:
    """Spell a time as people do: `0.4 s`, `12 s`, `3m20s`, `2h05m`."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02d}s"
    return f"{whole // 3600}h{whole % 3600 // 60:02d}m"


def size(count: float) -> str:
    """Spell a number of bytes as people do: `812 B`, `1.4 MB`."""
    if count < 1000:
        return f"{count:.0f} B"
    for unit in ("kB", "MB", "GB"):
        count /= 1000
        if count < 1000:
            return f"{count:.1f} {unit}"
    return f"{count / 1000:.1f} TB"
