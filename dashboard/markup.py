"""Tables as HTML.

They are real tables, so that keyboards, screen readers and phones treat them as any table.
Colours are those of the text, thinned out, and so follow the theme.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from urllib.parse import urlencode

from benchbench.text import escape_html as escape

__all__ = ["CSS", "HtmlCell", "HtmlColumn", "HtmlTable", "badge", "interval_bar", "link", "render", "strip"]

CSS = """<style>
.stMainBlockContainer{padding-top:4.2rem;padding-bottom:3rem}
.stMainBlockContainer h1{font-size:1.9rem;padding:.2rem 0 .4rem}
.stMainBlockContainer h2{font-size:1.45rem}
.stMainBlockContainer h3{font-size:1.3rem;padding:.3rem 0 .2rem}
[data-stale="true"]{opacity:1!important}
.bb-wrap{overflow-x:auto;margin:0 0 .5rem}
.bb-wrap:focus-visible{outline:2px solid #0072b2}
table.bb{border-collapse:collapse;width:100%;font-size:.92rem;line-height:1.35}
table.bb caption{text-align:left;max-width:calc(100vw - 2rem);font-size:.85rem;opacity:.8;padding:0 0 .4rem}
table.bb th,table.bb td{padding:.34rem .6rem;border:0;
 border-bottom:1px solid color-mix(in srgb,currentColor 14%,transparent);vertical-align:middle;text-align:left}
table.bb thead th{font-weight:600;border-bottom:2px solid color-mix(in srgb,currentColor 35%,transparent);white-space:nowrap}
table.bb th.r,table.bb td.r{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}
table.bb tbody th{font-weight:600;white-space:nowrap}
table.bb tbody tr:hover{background:color-mix(in srgb,currentColor 5%,transparent)}
table.bb a,.bb-text a{color:inherit;text-decoration:underline;text-decoration-thickness:1px;text-underline-offset:2px}
.bb-ci{position:relative;display:inline-block;width:100%;min-width:110px;height:16px}
.bb-ci i{position:absolute;background:color-mix(in srgb,currentColor 45%,transparent)}
.bb-ci i.line{top:7px;height:2px}.bb-ci i.end{top:3px;width:2px;height:10px}
.bb-ci i.zero{top:0;width:1px;height:16px;background:color-mix(in srgb,currentColor 22%,transparent)}
.bb-ci b{position:absolute;top:3px;width:10px;height:10px;margin-left:-5px;border-radius:50%;background:#0072b2;
 border:1px solid #fff}
.bb-strip{display:inline-flex;align-items:flex-end;gap:1px;height:20px;
 border-bottom:1px solid color-mix(in srgb,currentColor 35%,transparent)}
.bb-strip i{display:inline-block;width:5px;background:#0072b2}
.bb-strip i.none{background:none;border-left:1px dotted color-mix(in srgb,currentColor 40%,transparent);height:100%}
.bb-badge{display:inline-block;font-size:.74rem;line-height:1.3;padding:.04rem .42rem;border-radius:.6rem;margin-left:.35rem;
 border:1px solid color-mix(in srgb,currentColor 45%,transparent);white-space:nowrap;font-weight:400}
.bb-badge.good{border-color:#009e73}.bb-badge.bad{border-color:#d55e00;border-style:dashed}
.bb-muted{opacity:.75}
@media (max-width:640px){.stMainBlockContainer{padding-left:.8rem;padding-right:.8rem}
 table.bb{font-size:.86rem}table.bb th,table.bb td{padding:.3rem .35rem}
 table.bb .wide{display:none}.bb-ci{min-width:64px}
 table.bb thead th,table.bb thead th.r{white-space:normal;vertical-align:bottom}table.bb tbody th{white-space:normal;min-width:5rem}}
</style>"""


@dataclass(frozen=True, slots=True)
class HtmlColumn:
    """A column of a table.

    It has a title and a meaning. A column of numbers is flushed right. A phone hides some columns.
    """

    title: str
    is_number: bool = False
    is_wide: bool = False
    help: str = ""


@dataclass(frozen=True, slots=True)
class HtmlCell:
    """A cell: text, and markup of our own in its place if text does not do."""

    text: str
    html: str = ""


@dataclass(slots=True)
class HtmlTable:
    """A table with one heading a row (its first column, or the one given)."""

    caption: str
    columns: Sequence[HtmlColumn]
    rows: list[list[HtmlCell]] = field(default_factory=list)
    heading: int = 0

    def records(self) -> list[dict[str, str]]:
        """Return what a reader sees, as plain text."""
        return [{c.title: cell.text for c, cell in zip(self.columns, row, strict=True)} for row in self.rows]


def render(table: HtmlTable) -> str:
    """Return the table as HTML; every text in it is escaped."""
    head = "".join(
        f'<th scope="col" class="{_classes(c)}"{_title(c.help)}>{escape(c.title)}</th>' for c in table.columns
    )
    body = "".join(f"<tr>{''.join(_cell(table, i, cell) for i, cell in enumerate(row))}</tr>" for row in table.rows)
    name = escape(table.caption)
    return (
        f'<div class="bb-wrap" tabindex="0" role="region" aria-label="{name}"><table class="bb">'
        f"<caption>{escape(table.caption)}</caption><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def _cell(table: HtmlTable, place: int, cell: HtmlCell) -> str:
    inner = cell.html or escape(cell.text)
    tag, scope = ("th", ' scope="row"') if place == table.heading else ("td", "")
    return f'<{tag}{scope} class="{_classes(table.columns[place])}">{inner}</{tag}>'


def _classes(column: HtmlColumn) -> str:
    return " ".join(name for name, is_so in (("r", column.is_number), ("wide", column.is_wide)) if is_so)


def _title(text: str) -> str:
    return f' title="{escape(text)}"' if text else ""


def link(text: str, page: str, **params: str) -> HtmlCell:
    """Return a cell that leads to a page of the dashboard; `page` "" is the first one."""
    query = urlencode({k: v for k, v in params.items() if v})
    address = f"./{page}{f'?{query}' if query else ''}"
    return HtmlCell(text, f'<a href="{escape(address)}" target="_self">{_breakable(text)}</a>')


def _breakable(text: str) -> str:
    """Return escaped text that may be broken after an underscore or a hyphen.

    A phone may have no room for it on one line.
    """
    return escape(text).replace("_", "_<wbr>").replace("-", "-<wbr>")


def badge(text: str, kind: str = "", help_: str = "") -> str:
    """Return a small label; `kind` is "good", "bad" or nothing."""
    return f'<span class="bb-badge {kind}"{_title(help_)}>{escape(text)}</span>'


def interval_bar(
    value: float | None, low: float | None, high: float | None, ends: tuple[float, float], text: str
) -> str:
    """Draw a value with its interval on the scale from `ends[0]` to `ends[1]`.

    `text` says the same in words.
    """
    if value is None:
        return ""
    span = (ends[1] - ends[0]) or 1.0

    def at(x: float) -> float:
        return round(100 * min(max((x - ends[0]) / span, 0.0), 1.0), 2)

    parts = []
    if ends[0] < 0 < ends[1]:
        parts.append(f'<i class="zero" style="left:{at(0.0)}%"></i>')
    if low is not None and high is not None:
        parts.append(f'<i class="line" style="left:{at(low)}%;width:{round(at(high) - at(low), 2)}%"></i>')
        parts += [f'<i class="end" style="left:{at(x)}%"></i>' for x in (low, high)]
    parts.append(f'<b style="left:{at(value)}%"></b>')
    name = escape(text)
    return f'<span class="bb-ci" role="img" aria-label="{name}" title="{name}">{"".join(parts)}</span>'


def strip(heights: Sequence[float | None], titles: Sequence[str], text: str) -> str:
    """Draw small bars, one per task: 1 is full height, None a gap.

    `text` says in words what they show.
    """
    bars = []
    for height, title in zip(heights, titles, strict=True):
        name = escape(title)
        style = "" if height is None else f' style="height:{max(6, round(100 * height))}%"'
        bars.append(f'<i{" class=" + chr(34) + "none" + chr(34) if height is None else ""}{style} title="{name}"></i>')
    return f'<span class="bb-strip" role="img" aria-label="{escape(text)}">{"".join(bars)}</span>'
