"""The report as one page: no script, nothing from elsewhere, readable in light and in dark."""

from collections.abc import Iterable, Sequence
from html import escape
from typing import Final

from trainer.report.content import Report, Shown
from trainer.report.pictures import COLOURS

_STYLE: Final = """
:root{color-scheme:light dark;--bg:#fff;--ink:#111827;--soft:#6b7280;--card:#f9fafb;--edge:#e5e7eb;
--good:#047857;--bad:#b91c1c;--badbg:#fee2e2}
@media (prefers-color-scheme:dark){:root{--bg:#111827;--ink:#e5e7eb;--soft:#9ca3af;--card:#1a2333;--edge:#374151;
--good:#4fc79a;--bad:#fca5a5;--badbg:#5b1f24}}
body{margin:0 auto;padding:28px 20px 60px;max-width:1080px;background:var(--bg);color:var(--ink);
font:15px/1.5 system-ui,sans-serif}
h1{font-size:24px;margin:0}h2{font-size:18px;margin:40px 0 12px}
.soft{color:var(--soft)}code{font:13px ui-monospace,monospace;overflow-wrap:anywhere}
.tiles{display:flex;flex-wrap:wrap;gap:12px;margin:22px 0 0}
.tile{background:var(--card);border:1px solid var(--edge);border-radius:8px;padding:10px 18px 12px;min-width:96px}
.tile b{display:block;font-size:24px;font-weight:650;font-variant-numeric:tabular-nums}
table{border-collapse:collapse;width:100%}
th,td{text-align:left;vertical-align:top;padding:6px 14px 6px 0;border-bottom:1px solid var(--edge)}
th{font-weight:500;color:var(--soft);white-space:nowrap}td{overflow-wrap:anywhere}
.number{font-variant-numeric:tabular-nums;text-align:right;white-space:nowrap}
.columns{display:grid;grid-template-columns:repeat(auto-fit,minmax(340px,1fr));gap:0 40px}
figure{margin:0;background:var(--card);border:1px solid var(--edge);border-radius:8px;padding:10px;overflow:hidden}
figure img{display:block;max-width:100%;max-height:520px;margin:0 auto;border-radius:4px}
figcaption{margin-top:8px;font-size:13px}.pages{display:grid;grid-template-columns:repeat(auto-fill,minmax(300px,1fr));gap:14px}
.lines img{height:34px;max-width:320px;object-fit:contain;object-position:left;display:block;border-radius:3px}
.wide{overflow-x:auto}.lines{min-width:680px}.lines td:last-child{white-space:nowrap}
.lines code{white-space:pre-wrap;font-size:14px}
.good{color:var(--good)}.bad{color:var(--bad)}mark{background:var(--badbg);color:var(--bad);border-radius:2px}
.curve{width:100%;max-width:820px;height:auto}
.key{display:inline-block;width:11px;height:11px;border-radius:2px;margin:0 5px 0 14px}
"""


def render(report: Report) -> str:
    """Give the page."""
    title = escape(f"{report.name}: {report.task} training report")
    tiles = "".join(
        f'<div class="tile"><span class="soft">{escape(k)}</span><b>{escape(v)}</b></div>' for k, v in report.headline
    )
    parts = [
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f'<meta name="viewport" content="width=device-width,initial-scale=1"><style>{_STYLE}</style></head><body>',
        f'<h1>{escape(report.name)}</h1><div class="soft">{_TASKS.get(report.task, escape(report.task))} · run '
        f"<code>{escape(report.run_id)}</code></div>",
        f'<div class="tiles">{tiles}</div>',
        "<h2>Training</h2>",
        report.curve,
        '<div class="columns">',
        f"<section><h2>Metrics</h2>{_metrics(report)}</section>",
        f"<section><h2>Verification</h2>{_verified(report.verified)}</section>",
        "</div>",
        f"<h2>Samples of the {escape(report.split)} split</h2>",
        _samples(report),
        "<h2>Dataset</h2>",
        _table(report.dataset),
        _refused(report),
        "<h2>Run</h2>",
        _table(report.facts),
        "</body></html>\n",
    ]
    return "".join(parts)


_TASKS: Final = {"det": "text detector", "rec": "text recogniser"}


def _table(rows: Iterable[tuple[str, str]]) -> str:
    body = "".join(f"<tr><th>{escape(name)}</th><td>{escape(value)}</td></tr>" for name, value in rows)
    return f"<table>{body}</table>"


def _metrics(report: Report) -> str:
    body = "".join(
        f'<tr><th>{escape(name)}</th><td class="number">{escape(test)}</td><td class="number">{escape(best)}</td></tr>'
        for name, test, best in report.metrics
    )
    split = escape(report.split)
    return (
        f'<table><tr><th></th><th class="number">{split} split</th>'
        f'<th class="number">eval split, best step</th></tr>{body}</table>'
    )


def _verified(said: Sequence[str]) -> str:
    if not said:
        return '<p class="bad">The exported model has not been verified.</p>'
    return "<table>" + "".join(f'<tr><td class="good">✓</td><td>{escape(line)}</td></tr>' for line in said) + "</table>"


def _refused(report: Report) -> str:
    if not report.refused:
        return ""
    rows = "".join(
        f'<tr><td>{escape(reason)}</td><td class="number">{escape(count)}</td>'
        f"<td><code>{escape(places)}</code></td></tr>"
        for reason, count, places in report.refused
    )
    return (
        '<h2>Refused samples</h2><table><tr><th>reason</th><th class="number">count</th><th>where</th></tr>'
        f"{rows}</table>"
    )


def _samples(report: Report) -> str:
    if not report.samples:
        return '<p class="soft">There are no predictions to show.</p>'
    if report.task == "rec":
        head = "<tr><th>line</th><th>label</th><th>read</th><th class='number'>confidence</th><th></th></tr>"
        rows = "".join(_line(shown) for shown in report.samples)
        return f'<div class="wide"><table class="lines">{head}{rows}</table></div>'
    names = {
        "labelled": "labelled",
        "found": "found",
        "missed": "missed",
        "false": "found where nothing is labelled",
        "ignored": "not counted",
    }
    keys = "".join(
        f'<span class="key" style="background:rgb{COLOURS[kind]}"></span>{words}' for kind, words in names.items()
    )
    order = '<p class="soft">The worst pages first, then some from the rest. Numbers are confidences.' + keys + "</p>"
    return f'{order}<div class="pages">{"".join(_page(shown) for shown in report.samples)}</div>'


def _page(shown: Shown) -> str:
    kind = "good" if shown.right else "bad"
    return (
        f'<figure><a href="{escape(shown.picture)}"><img src="{escape(shown.picture)}" loading="lazy" '
        f'alt="{escape(shown.words)}"></a><figcaption><span class="{kind}">{"✓" if shown.right else "✗"}</span> '
        f"{escape(shown.words)}<br><code class='soft'>{escape(shown.source)}</code></figcaption></figure>"
    )


def _line(shown: Shown) -> str:
    kind = "good" if shown.right else "bad"
    text = "".join(escape(words) if same else f"<mark>{escape(words)}</mark>" for words, same in shown.pieces)
    return (
        f'<tr><td><img src="{escape(shown.picture)}" loading="lazy" alt="{escape(shown.label)}"></td>'
        f"<td><code>{escape(shown.label)}</code><br><code class='soft'>{escape(shown.source)}</code></td>"
        f'<td><code>{text or "<mark>nothing</mark>"}</code></td><td class="number">{shown.score:.3f}</td>'
        f'<td class="{kind}">{"✓" if shown.right else "✗"} {escape(shown.words)}</td></tr>'
    )
