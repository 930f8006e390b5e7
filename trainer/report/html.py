"""The report as one page: no script, nothing from elsewhere, readable in light and in dark."""

from collections.abc import Iterable, Sequence
from html import escape
from typing import Final

from trainer.report.content import Pieces, Report, Section, Shown
from trainer.report.pictures import COLOURS, LEGEND

_STYLE: Final = """
:root{color-scheme:light dark;--bg:#fff;--ink:#111827;--soft:#6b7280;--card:#f9fafb;--edge:#e5e7eb;
--good:#047857;--bad:#b91c1c;--badbg:#fee2e2}
@media (prefers-color-scheme:dark){:root{--bg:#111827;--ink:#e5e7eb;--soft:#9ca3af;--card:#1a2333;--edge:#374151;
--good:#4fc79a;--bad:#fca5a5;--badbg:#5b1f24}}
body{margin:0 auto;padding:28px 20px 60px;max-width:1080px;background:var(--bg);color:var(--ink);
font:15px/1.5 system-ui,sans-serif}
h1{font-size:24px;margin:0}h2{font-size:18px;margin:40px 0 12px}h3{font-size:15px;margin:22px 0 8px}
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
    """Return the page."""
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
        *(_section(section) for section in report.distillation),
        '<div class="columns">',
        *(f"<section>{_section(section)}</section>" for section in report.analysis),
        "</div>",
        f"<h2>Samples of the {escape(report.split)} split</h2>",
        _samples(report),
        "<h2>Dataset</h2>",
        _table(report.dataset),
        *(_section(section) for section in report.left_out),
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


def _section(section: Section) -> str:
    note = f'<p class="soft">{escape(section.note)}</p>' if section.note else ""
    kinds = [' class="number"' if name in section.numbers else "" for name in section.head]
    head = "".join(f"<th{kind}>{escape(name)}</th>" for name, kind in zip(section.head, kinds, strict=True))
    rows = ""
    for row in section.rows:
        cells = [
            f"<code>{escape(value)}</code>" if name in section.verbatim else escape(value)
            for name, value in zip(section.head, row, strict=True)
        ]
        rows += f"<tr>{''.join(f'<td{kind}>{cell}</td>' for kind, cell in zip(kinds, cells, strict=True))}</tr>"
    return f"<h2>{escape(section.title)}</h2>{note}<table><tr>{head}</tr>{rows}</table>"


def _samples(report: Report) -> str:
    if not report.worst:
        return '<p class="soft">No predictions to show.</p>'
    show, legend = (_pages, _legend()) if report.task == "det" else (_lines, "")
    worst = f"{legend}<h3>The worst</h3>{show(report.worst)}"
    return worst + (f"<h3>An even selection of the rest</h3>{show(report.others)}" if report.others else "")


def _legend() -> str:
    keys = "".join(
        f'<span class="key" style="background:rgb{COLOURS[kind]}"></span>{escape(words)}'
        for kind, (_, words) in LEGEND.items()
    )
    return f'<p class="soft">{keys}. Numbers are confidences.</p>'


def _pages(samples: Sequence[Shown]) -> str:
    return f'<div class="pages">{"".join(_page(shown) for shown in samples)}</div>'


def _lines(samples: Sequence[Shown]) -> str:
    head = "<tr><th>line</th><th>label</th><th>read</th><th class='number'>confidence</th><th></th></tr>"
    rows = "".join(_line(shown) for shown in samples)
    return f'<div class="wide"><table class="lines">{head}{rows}</table></div>'


def _page(shown: Shown) -> str:
    kind = "good" if shown.right else "bad"
    return (
        f'<figure><a href="{escape(shown.picture)}"><img src="{escape(shown.picture)}" loading="lazy" '
        f'alt="{escape(shown.words)}"></a><figcaption><span class="{kind}">{"✓" if shown.right else "✗"}</span> '
        f"{escape(shown.words)}<br><code class='soft'>{escape(shown.source)}</code></figcaption></figure>"
    )


def _line(shown: Shown) -> str:
    kind = "good" if shown.right else "bad"
    label = escape("".join(words for words, _ in shown.label))
    return (
        f'<tr><td><img src="{escape(shown.picture)}" loading="lazy" alt="{label}"></td>'
        f"<td><code>{_marked(shown.label)}</code><br><code class='soft'>{escape(shown.source)}</code></td>"
        f"<td><code>{_marked(shown.text) or '<mark>nothing</mark>'}</code></td>"
        f'<td class="number">{shown.score:.3f}</td>'
        f'<td class="{kind}">{"✓" if shown.right else "✗"} {escape(shown.words)}</td></tr>'
    )


def _marked(pieces: Pieces) -> str:
    return "".join(escape(words) if agrees else f"<mark>{escape(words)}</mark>" for words, agrees in pieces)
