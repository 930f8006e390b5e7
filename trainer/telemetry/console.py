"""What a person sees of a run, on stderr: bars on a terminal, plain lines in a pipe, or JSON for programs."""

import sys
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, Final, TextIO

from tqdm import tqdm

from trainer.formats.printable import in_one_line, printable
from trainer.telemetry.events import (
    Checkpointed,
    Ended,
    Evaluated,
    Event,
    Notice,
    Progressed,
    StageBegun,
    StageDone,
    StageSkipped,
    Step,
    Uploaded,
    fields,
)
from trainer.telemetry.lines import Format, Line, Turn, to_json
from trainer.telemetry.sentences import metrics, sentence
from trainer.telemetry.units import duration

_BAR: Final = "{desc} {percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt} [{elapsed}<{remaining}]{postfix}"
_STEPS: Final = "steps"
_EVERY: Final = 10.0
"""Seconds between two lines of routine progress in a pipe."""


class _Bar(tqdm):  # type: ignore[type-arg]  # generic only in its stubs
    """A bar without tqdm's monitor thread: every bar here is moved by events."""

    monitor_interval = 0


class Console:
    """Shows events. Any thread may call it."""

    def __init__(
        self,
        stream: TextIO | None = None,
        *,
        form: Format = "text",
        every: float = _EVERY,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Look at the stream and choose bars or lines.

        Args:
            stream: where to write; stderr unless given.
            form: text or JSON; JSON has no bars.
            every: in a pipe, the least seconds between two lines of the same kind of routine progress.
            clock: the time in seconds; for tests.
        """
        self._stream = stream or sys.stderr
        self._form = form
        self._terminal = form == "text" and self._stream.isatty()
        self._every = every
        self._clock = clock
        self._lock = threading.RLock()
        self._bars: dict[str, _Bar] = {}
        self._last_line: dict[str, float] = {}
        self._stage = ""
        self._where: Mapping[str, Any] = {}
        self._forget()

    def locate(self, **where: str | int) -> None:
        """Set the keys that each JSON line has: run, node, attempt."""
        self._where = {**self._where, **where}

    def notice(self, message: str) -> None:
        """Write a sentence, above the bars if there are any."""
        self.hear(Notice(message=message))

    def hear(self, event: Event) -> None:
        """Show an event."""
        with self._lock:
            match event:
                case StageBegun(stage=stage):
                    self._close_bars()
                    self._forget()
                    self._stage = stage
                    self._write(event, turn="begun")
                case StageDone(stage=stage):
                    self._close_bars()
                    self._write(event, stage=stage, turn="done")
                case StageSkipped(stage=stage):
                    self._write(event, stage=stage, turn="skipped")
                case Step():
                    self._show_step(event)
                case Evaluated():
                    main = next((name for name in ("hmean", "acc", *event.metrics) if name in event.metrics), None)
                    self._metric = metrics({main: event.metrics[main]}) if main else ""
                    self._write(event)
                case Progressed():
                    self._show_progress(event)
                case Checkpointed() if self._terminal:
                    pass  # the bar says enough
                case Uploaded() if self._form == "text":
                    pass  # a line for each checkpoint is enough
                case Ended(traceback=traceback):
                    self._close_bars()
                    self._stage = ""
                    if traceback and self._form == "text":
                        self._stream.write(printable(traceback))
                    self._write(event)
                case _ if event.logged:
                    self._write(event)

    def close(self) -> None:
        """Take the bars away."""
        with self._lock:
            self._close_bars()

    def _forget(self) -> None:
        self._rates: dict[int | None, float] = {}
        self._shares: dict[str, dict[int | None, tuple[int, int]]] = {}
        self._first: tuple[float, int] | None = None
        self._metric = ""
        self._last_line.clear()

    def _show_step(self, event: Step) -> None:
        self._rates[event.rank] = event.samples / max(event.seconds, 1e-6)
        if event.rank != min(self._rates, key=lambda rank: rank or 0):
            return
        for name in [name for name in self._bars if name != _STEPS]:
            self._close_bar(name)
        if self._first is None or event.step <= self._first[1]:  # the first one, or the first after a restart
            self._first = (self._clock() - event.seconds, event.step - 1)
        began, first = self._first
        left = (self._clock() - began) / (event.step - first) * (event.steps - event.step)
        speed, loss = sum(self._rates.values()), event.loss["loss"]
        said = [f"loss {'nan' if loss is None else f'{loss:.4g}'}", self._metric, f"{speed:.3g} samples/s"]
        epoch = f"epoch {event.epoch}/{event.epochs}"
        if self._terminal:
            shown = ", ".join(word for word in said if word)
            self._move(_STEPS, event.step, event.steps, desc=f"[{self._stage}] {epoch}", said=shown)
        elif self._due(_STEPS, final=event.step == event.steps):
            # What matters most comes first: a narrow terminal shows the beginning.
            words = [f"step {event.step}/{event.steps}", f"{duration(left)} left", *said, epoch]
            self._write(
                event,
                message=", ".join(word for word in words if word),
                percent=_percent(event.step, event.steps),
                extra={"samples_per_second": round(speed, 3), "seconds_left": round(left, 1)},
            )

    def _show_progress(self, event: Progressed) -> None:
        # Each rank counts its own share; the node's own stages have no rank.
        shares = self._shares.setdefault(event.what, {})
        shares[event.rank] = (event.done, event.total)
        done, total = (sum(counts) for counts in zip(*shares.values(), strict=True))
        what = "" if event.what == self._stage else event.what
        if self._terminal:
            desc = f"[{self._stage}] {what}".rstrip() if self._stage else what
            scaled = event.unit == "bytes"
            self._move(event.what, done, total, desc=desc, said="" if scaled else event.unit, scaled=scaled)
        elif self._due(event.what, final=done >= total):
            whole = Progressed(what=what, done=done, total=total, unit=event.unit)
            self._write(whole, percent=_percent(done, total), extra={"what": event.what})
        if done >= total:
            self._shares.pop(event.what)
            self._close_bar(event.what)

    def _due(self, kind: str, *, final: bool) -> bool:
        """Return whether a line of routine progress may be written now; the last of a kind always is."""
        now = self._clock()
        if not final and now - self._last_line.get(kind, -self._every) < self._every:
            return False
        self._last_line[kind] = now
        return True

    def _write(
        self,
        event: Event,
        *,
        message: str | None = None,
        stage: str | None = None,
        percent: int | None = None,
        turn: Turn | None = None,
        extra: Mapping[str, Any] | None = None,
    ) -> None:
        line = Line(
            message=sentence(event) if message is None else in_one_line(message),
            stage=self._stage if stage is None else stage,
            percent=percent,
            turn=turn,
        )
        if self._form == "json":
            text = to_json(line, {**fields(event), **(extra or {}), **self._where})
        elif not (line.message or turn):
            return
        else:
            text = str(line)
        if self._bars:
            _Bar.write(text, file=self._stream)
        else:
            self._stream.write(text + "\n")
        self._stream.flush()

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
        bar.set_description_str(in_one_line(desc), refresh=False)
        bar.set_postfix_str(in_one_line(said), refresh=False)
        bar.update(done - bar.n)

    def _close_bar(self, name: str) -> None:
        bar = self._bars.pop(name, None)
        if bar is not None:
            bar.close()

    def _close_bars(self) -> None:
        for name in list(self._bars):
            self._close_bar(name)


def _percent(done: int, total: int) -> int:
    return min(done * 100 // total, 100) if total else 100
