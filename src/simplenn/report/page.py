"""A report as one HTML page that can be mailed: the table, the words and the figures, with nothing from elsewhere."""

import base64
import html
from collections.abc import Iterable, Sequence
from pathlib import Path

from simplenn.report.figures import Drawing
from simplenn.report.lines import Report, Said
from simplenn.report.table import table_of
from simplenn.rundir import shown, write_atomically

STYLE = """
:root { color-scheme: light; }
body { font: 16px/1.5 system-ui, "DejaVu Sans", sans-serif; color: #222; background: #fff; max-width: 60rem;
  margin: 2.5rem auto; padding: 0 1.2rem; }
h1 { font-size: 1.7rem; margin: 0 0 .2rem; overflow-wrap: anywhere; }
h2 { font-size: 1.15rem; margin: 2.2rem 0 .6rem; }
.counts { color: #555; margin: 0 0 1.6rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: .95rem; }
caption { text-align: left; color: #555; padding-bottom: .5rem; }
th { border-bottom: 2px solid #222; font-weight: 600; }
th, td { padding: .28rem .8rem; text-align: right; white-space: nowrap; }
th.left, td.left { text-align: left; }
tbody tr { border-bottom: 1px solid #ddd; }
tr.best { font-weight: 700; background: #eef5fb; }
.note { color: #555; font-size: .9rem; }
p { margin: .35rem 0; }
pre { background: #f4f4f4; padding: .6rem .8rem; overflow-x: auto; font-size: .85rem; margin: .4rem 0 .9rem; }
figure { margin: 1.4rem 0; }
img { max-width: 100%; height: auto; display: block; }
"""
MOST_ROWS = 200
HEADINGS = {"best:": "Which is best", "sure:": "How sure that is", "odd:": "The odd ones", "note:": "Before comparing"}


def page_of(report: Report, drawn: Sequence[Drawing], most_rows: int = MOST_ROWS) -> str:
    """The page's text; its table has at most so many settings."""
    name = ", ".join(sweep.resolve().name for sweep in report.study.sweeps)
    body = [f"<h1>{_text(name)}</h1>", f'<p class="counts">{_text(report.counts())}</p>']
    said = list(report.said())
    for part in ("note:", "best:", "sure:"):
        body += _part(part, said)
    figures = [f'<figure><img alt="{_text(d.words)}" src="{_uri(d.png)}"></figure>' for d in drawn]
    body += figures[:1]
    body += [*_part("odd:", said), *figures[1:], "<h2>Settings</h2>", *_table(report, most_rows)]
    for label, heading in (("alone:", "Train its median run alone"), ("runs:", "Run directories")):
        body += _part(label, said, heading)
    places = ", ".join(shown(sweep) for sweep in report.study.sweeps)
    body.append(f'<p class="note">Made by python scripts/report.py of {_text(places)}.</p>')
    head = f'<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{_text(name)}</title>'
    style = f"<style>{STYLE}</style>"
    return f'<!doctype html>\n<html lang="en"><head>{head}{style}</head>\n<body>\n{_joined(body)}</body></html>\n'


def write_page(path: Path, text: str) -> None:
    """Raises `Unwritable`."""
    write_atomically(path, text.encode())


def _part(label: str, said: Sequence[Said], heading: str | None = None) -> list[str]:
    own = [line for line in said if line.label == label]
    if not own:
        return []
    texts = [f"<pre>{_text(line.text)}</pre>" if line.is_command else f"<p>{_text(line.text)}</p>" for line in own]
    return [f"<h2>{_text(heading or HEADINGS[label])}</h2>", *texts]


def _table(report: Report, most_rows: int) -> list[str]:
    table = table_of(report.study, report.best_settings, most_rows)
    kinds = ['class="left"' if place < table.num_left else "" for place in range(len(table.heads))]
    lines = [f'<div class="scroll"><table><caption>{_text(table.title)}</caption>']
    lines.append(f"<thead>{_row('th', table.heads, kinds)}</thead><tbody>")
    for place, row in enumerate(table.rows):
        lines.append(_row("td", row, kinds, "best" if place in table.marked else ""))
    return [*lines, "</tbody></table></div>", *(f'<p class="note">{_text(note)}</p>' for note in table.notes)]


def _row(tag: str, cells: Sequence[str], kinds: Sequence[str], kind: str = "") -> str:
    inner = "".join(f"<{tag} {k}>{_text(cell)}</{tag}>" for cell, k in zip(cells, kinds, strict=True))
    return f'<tr class="{kind}">{inner}</tr>' if kind else f"<tr>{inner}</tr>"


def _uri(png: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"


def _text(text: str) -> str:
    return html.escape(text)


def _joined(lines: Iterable[str]) -> str:
    return "".join(f"{line}\n" for line in lines)
