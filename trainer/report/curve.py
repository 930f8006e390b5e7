"""The training curve as SVG: the loss above, the evaluations below, over the same steps.

Two panels with one axis each, since two scales in one picture are easily misread. The picture brings its own style,
so that it is the same inside the page and as a file, in light and in dark.
"""

import math
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any, Final

Point = tuple[float, float]

_WIDTH: Final = 760
_LEFT: Final = 64
_RIGHT: Final = 20
_PANEL: Final = 190
_TOP: Final = 34
_GAP: Final = 72
_HEIGHT: Final = 2 * _PANEL + _TOP + _GAP + 46
_POINTS: Final = 300
"""Points drawn of a loss curve; more would not be seen on this width."""
_SMOOTH: Final = 60
"""Averages drawn of a loss curve; one of up to twice as many points is drawn as it is."""
_WIDE: Final = 30
"""A loss whose largest value is more than so many times its smallest one is drawn on a logarithmic scale."""

_STYLE: Final = """
.curve text{font:12px system-ui,sans-serif;fill:var(--ink)}
.curve{--ink:#374151;--grid:#e5e7eb;--c0:#2563eb;--c1:#b45309;--c2:#047857;--c3:#7c3aed;--bg:#fff}
.curve .grid{stroke:var(--grid)}
.curve .line{fill:none;stroke-width:2;stroke-linejoin:round}
.curve .title{font-weight:600}
.curve .raw{stroke-width:1;opacity:.3}
@media (prefers-color-scheme:dark){
.curve{--ink:#d1d5db;--grid:#374151;--c0:#7aa5ff;--c1:#f0a04b;--c2:#4fc79a;--c3:#b794f6;--bg:#111827}
}
"""


def curve(history: Mapping[str, Sequence[Mapping[str, Any]]], *, main_metric: str, picked: str | None = None) -> str:
    """Draw the history of a training.

    Args:
        history: `{"loss": [{"step", "loss"}…], "eval": [{"step", "metrics", "best"}…]}`, as in training.json; in a
            distillation each of the latter has the metrics of all `networks`, too.
        main_metric: the metric that chooses the best model; the best point is marked on it.
        picked: in a distillation the network that is published; then there is a line for each network.

    Returns:
        An SVG element.
    """
    losses = [(float(p["step"]), float(p["loss"])) for p in history.get("loss", ()) if math.isfinite(p["loss"])]
    evals = list(history.get("eval", ()))
    last = max([x for x, _ in losses] + [float(e["step"]) for e in evals] + [1.0])
    parts = [
        f'<svg class="curve" xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" '
        f'aria-label="Loss and {escape(main_metric)} over {last:.0f} steps"><style>{_STYLE}</style>'
    ]
    parts += _loss_panel(losses, last=last)
    parts += _eval_panel(evals, last=last, main_metric=main_metric, picked=picked)
    return "".join([*parts, "</svg>"])


def ticks(low: float, high: float, *, count: int = 5) -> list[float]:
    """Return about `count` round numbers from `low` to `high`, both inside the outermost."""
    span = max(high - low, 1e-9)
    power = 10.0 ** math.floor(math.log10(span / count))
    step = next(power * factor for factor in (1, 2, 5, 10) if span / (power * factor) <= count)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [i * step for i in range(first, max(last, first + 1) + 1)]


def decades(low: float, high: float) -> list[float]:
    """Return the powers of ten from below `low` to above `high`."""
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    return [10.0**exponent for exponent in range(first, max(last, first + 1) + 1)]


def thinned(points: Sequence[Point], most: int) -> list[Point]:
    """Average neighbours until at most `most` points are left; there must be one."""
    size = math.ceil(len(points) / most)
    groups = [points[start : start + size] for start in range(0, len(points), size)]
    return [(sum(x for x, _ in group) / len(group), sum(y for _, y in group) / len(group)) for group in groups]


def _loss_panel(losses: list[Point], *, last: float) -> list[str]:
    if not losses:
        return [_text(_LEFT, _TOP - 14, "loss: none recorded", kind="title")]
    values = [y for _, y in losses]
    logarithmic = min(values) > 0 and max(values) > _WIDE * min(values)
    marks = decades(min(values), max(values)) if logarithmic else ticks(min(0.0, *values), max(values))
    panel = _Panel(top=_TOP, last=last, marks=marks, logarithmic=logarithmic)
    title = "loss, on a logarithmic scale" if logarithmic else "loss"
    if len(losses) <= 2 * _SMOOTH:
        return [*panel.frame(title), panel.line(losses, colour=0)]
    # Averages over some neighbours are what can be followed; what is averaged stays behind them, faint.
    behind, smooth = thinned(losses, _POINTS), thinned(losses, _SMOOTH)
    return [*panel.frame(title), panel.line(behind, colour=0, kind="line raw"), panel.line(smooth, colour=0)]


def _eval_panel(evals: list[Mapping[str, Any]], *, last: float, main_metric: str, picked: str | None) -> list[str]:
    top = _TOP + _PANEL + _GAP
    lines = _by_network(evals, main_metric, picked) if picked else _by_metric(evals, main_metric)
    if not lines:
        return [_text(_LEFT, top - 14, "evaluation: none during training", kind="title")]
    panel = _Panel(top=top, last=last, marks=ticks(0, 1), logarithmic=False)
    parts = panel.frame(f"{main_metric} of each network" if picked else "evaluation", axis="step")
    for colour, (name, points) in reversed(list(enumerate(lines.items()))):
        parts.append(panel.line(points, colour=colour))
        parts += [
            panel.dot(point, colour=colour, said=f"{name} {point[1]:.4f} at step {point[0]:.0f}") for point in points
        ]
    best = [e for e in evals if e.get("best")]
    if best and main_metric in best[-1]["metrics"]:
        parts.append(panel.ring((float(best[-1]["step"]), float(best[-1]["metrics"][main_metric]))))
    return parts + _legend(list(lines), top=top - 14)


_LINES: Final = 4
"""Lines of evaluations, as there are colours that can be told apart."""


def _by_metric(evals: list[Mapping[str, Any]], main_metric: str) -> dict[str, list[Point]]:
    names = [name for name in evals[-1]["metrics"] if name != "fps"] if evals else []
    names = sorted(names, key=lambda name: (name != main_metric, name))[:_LINES]
    return {
        name: [(float(e["step"]), float(e["metrics"][name])) for e in evals if name in e["metrics"]] for name in names
    }


def _by_network(evals: list[Mapping[str, Any]], main_metric: str, picked: str) -> dict[str, list[Point]]:
    """Return each network's points of the main metric; the picked one continues where it was trained alone."""
    found: dict[str, list[Point]] = {picked: []}
    for entry in evals:
        for name, metrics in (entry.get("networks") or {picked: entry["metrics"]}).items():
            if main_metric in metrics:
                found.setdefault(name, []).append((float(entry["step"]), float(metrics[main_metric])))
    return {name: points for name, points in list(found.items())[:_LINES] if points}


def _legend(names: Sequence[str], *, top: float) -> list[str]:
    parts, left = [], float(_WIDTH - _RIGHT)
    for colour, name in reversed(list(enumerate(names))):
        left -= 8 * len(name) + 34
        parts.append(f'<path d="M{left:.0f} {top - 4}h16" class="line" style="stroke:var(--c{colour})"/>')
        parts.append(_text(left + 22, top, name))
    return parts


class _Panel:
    """One pair of axes."""

    def __init__(self, *, top: float, last: float, marks: Sequence[float], logarithmic: bool) -> None:
        self._top = top
        self._last = last
        self._marks = marks
        self._logarithmic = logarithmic

    def place(self, point: Point) -> Point:
        """Turn step and value into pixels."""
        return self._across(point[0]), self._down(point[1])

    def _across(self, step: float) -> float:
        return _LEFT + step / self._last * (_WIDTH - _LEFT - _RIGHT)

    def _down(self, value: float) -> float:
        low, high, scaled = (self._scaled(v) for v in (self._marks[0], self._marks[-1], value))
        share = min(max((scaled - low) / (high - low), 0.0), 1.0)
        return self._top + (1 - share) * _PANEL

    def frame(self, title: str, axis: str = "") -> list[str]:
        """Draw the grid, the ticks and the title."""
        parts = [_text(_LEFT, self._top - 14, title, kind="title")]
        for mark in self._marks:
            y = self._down(mark)
            parts.append(f'<path class="grid" d="M{_LEFT} {y:.1f}H{_WIDTH - _RIGHT}"/>')
            parts.append(_text(_LEFT - 8, y + 4, f"{mark:g}", anchor="end"))
        bottom = self._top + _PANEL
        for mark in ticks(0, self._last, count=6):
            if mark <= self._last:
                x = self._across(mark)
                parts.append(f'<path class="grid" d="M{x:.1f} {bottom}v5"/>')
                parts.append(_text(x, bottom + 20, f"{mark:g}", anchor="middle"))
        if axis:
            parts.append(_text((_LEFT + _WIDTH - _RIGHT) / 2, bottom + 40, axis, anchor="middle"))
        return parts

    def line(self, points: Sequence[Point], *, colour: int, kind: str = "line") -> str:
        """Draw a line through points."""
        path = "L".join(f"{x:.1f} {y:.1f}" for x, y in map(self.place, points))
        return f'<path class="{kind}" style="fill:none;stroke:var(--c{colour})" d="M{path}"/>'

    def dot(self, point: Point, *, colour: int, said: str) -> str:
        """Draw a point that says its value when the pointer rests on it."""
        x, y = self.place(point)
        return (
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" style="fill:var(--c{colour})">'
            f"<title>{escape(said)}</title></circle>"
        )

    def ring(self, point: Point) -> str:
        """Mark the best point."""
        x, y = self.place(point)
        # The words go below the line when there is no room above, and to the left at the right end.
        above = y - 12 if y - self._top > 24 else y + 22
        anchor = "end" if x > _WIDTH / 2 else "start"
        ring = f'<circle cx="{x:.1f}" cy="{y:.1f}" r="7" style="fill:none;stroke:var(--c0);stroke-width:2"/>'
        return ring + _text(x, above, f"best: {point[1]:.4f}", anchor=anchor)

    def _scaled(self, value: float) -> float:
        return math.log10(max(value, 1e-12)) if self._logarithmic else value


def _text(x: float, y: float, words: str, *, anchor: str = "start", kind: str = "") -> str:
    name = f' class="{kind}"' if kind else ""
    return f'<text{name} x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(words)}</text>'
