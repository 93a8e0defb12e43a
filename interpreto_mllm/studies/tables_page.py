"""A page of tables, charts and links: the report of a benchmark that is no study."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from interpreto_mllm.plots.board import breakable
from interpreto_mllm.plots.html import document, stylesheet
from interpreto_mllm.studies.report_page import asset

BOLD = re.compile(r"^\*\*(.*)\*\*$")


@dataclass(frozen=True)
class Sheet:
    """A table: the first cell of its head is its title.

    Args:
        columns: its head.
        rows: cells as text; "**" around one makes it bold.
    """

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True)
class Link:
    """A page of a result.

    Args:
        address: of it, relative to this page.
        title: of it.
        text: what is to be seen there.
    """

    address: str
    title: str
    text: str = ""


def tables_page(
    title: str,
    about: str,
    sheets: Sequence[Sheet],
    charts: Sequence[str] = (),
    links: Sequence[Link] = (),
    facts: Sequence[str] = (),
) -> str:
    """One self-contained page. Charts are SVG; everything else is escaped.

    Example:
        >>> page = tables_page("Speed", "", [Sheet(["case", "seconds"], [["<short>", "**1.0**"]])])
        >>> "&lt;short&gt;" in page, "<b>1.0</b>" in page
        (True, True)
    """
    told = "".join(f"<span>{escape(fact)}</span>" for fact in facts)
    drawn = "".join(f"<figure>{svg}</figure>" for svg in charts)
    charts_part = f'<h2>Plots</h2>\n<div class="charts">{drawn}</div>\n' if charts else ""
    items = "".join(
        f'<li><a href="{escape(one.address)}">{escape(one.title)}</a> <span>{escape(one.text)}</span></li>' for one in links
    )
    links_part = f'<h2>Results</h2>\n<ul class="links">{items}</ul>\n' if links else ""
    body = (
        f'<div class="attribution report">\n<style>{stylesheet()}{asset("report.css")}</style>\n<h1>{escape(title)}</h1>\n'
        f'<p class="about">{escape(about)}</p>\n<div class="facts">{told}</div>\n{"".join(map(_table, sheets))}'
        f"{charts_part}{links_part}</div>"
    )
    return document(title, body)


def _table(sheet: Sheet) -> str:
    head = "".join(f"<th>{escape(name)}</th>" for name in sheet.columns[1:])
    body = "".join(
        f"<tr><th>{breakable(row[0])}</th>{''.join(f'<td>{_cell(cell)}</td>' for cell in row[1:])}</tr>\n" for row in sheet.rows
    )
    return (
        f'<h2>{escape(sheet.columns[0])}</h2>\n<div class="wide"><table class="board"><thead><tr><td></td>{head}</tr></thead>\n'
        f"<tbody>{body}</tbody></table></div>\n"
    )


def _cell(text: str) -> str:
    found = BOLD.match(text)
    return f"<b>{escape(found[1])}</b>" if found else escape(text)
