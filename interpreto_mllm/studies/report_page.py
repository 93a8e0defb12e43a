"""The report of a study as one page, in the make of a result's page. All text is escaped, and nothing is downloaded."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from html import escape
from importlib.resources import files

from interpreto_mllm.plots.board import Ranged, breakable, ranged_cell
from interpreto_mllm.plots.charts import chart, colour_of, ranks_chart
from interpreto_mllm.plots.html import document, stylesheet
from interpreto_mllm.plots.number_scale import NumberScale, duration
from interpreto_mllm.studies.report_data import Entry, RunResult
from interpreto_mllm.studies.report_tables import LEVEL, Cell, Leaderboard, curves, direction, heading, ranked, scale_of

SAMPLES_SHOWN = 50
FEWEST_TO_TELL = 5
"""Samples, below which the page says that intervals mean little."""


@dataclass(frozen=True)
class SampleLine:
    """A sample in the explorer.

    Args:
        identity: of it.
        text: of its prompt.
        answer: that was explained.
        pages: the addresses of its result's pages, by the name of the entry.
        together: that of the page with all results beside each other.
        errors: why it could not be explained, by the name of the entry.
    """

    identity: str
    text: str
    answer: str
    pages: Mapping[str, str]
    together: str | None
    errors: Mapping[str, str]


@dataclass(frozen=True)
class Shown:
    """What a report shows.

    Args:
        title: of the study.
        about: what it measures, in a sentence.
        runs: all of them.
        board: the leaderboard.
        lines: the samples.
        gallery: fragments of results, each beside its title.
    """

    title: str
    about: str
    runs: Sequence[RunResult]
    board: Leaderboard
    lines: Sequence[SampleLine]
    gallery: Sequence[tuple[str, str]] = ()


def report_page(shown: Shown) -> str:
    """One self-contained page."""
    return document(shown.title, fragment(shown))


def fragment(shown: Shown) -> str:
    """The body of the page; without scripts it shows the first metric of all samples."""
    return (
        f'<div class="attribution report">\n<style>{stylesheet()}{asset("report.css")}</style>\n{_head(shown)}'
        f"{_warnings(shown)}{_leaderboard(shown.board)}{_curves(shown.board.entries, shown.board.metrics)}{_ranks(shown.board)}"
        f"{_gallery(shown.gallery)}{_explorer(shown)}{_setup(shown.runs)}\n"
        f'<script type="application/json">{_data(shown)}</script>\n<script>{asset("report.js")}</script>\n</div>'
    )


@cache
def asset(file: str) -> str:
    return files("interpreto_mllm.studies").joinpath(file).read_text(encoding="utf-8")


def _head(shown: Shown) -> str:
    samples = {one["identity"] for run in shown.runs for one in run.samples}
    paid = sum(one["evaluations"] for run in shown.runs for one in run.done)
    seconds = sum(cost.get("seconds") or 0.0 for run in shown.runs for cost in run.costs.values())
    told = [_counted(len(shown.runs), "run"), _counted(len(samples), "sample"), _counted(paid, "evaluation")]
    told += [f"{duration(seconds)} of work"] if seconds else []
    made = next((run.made for run in shown.runs if run.made), {})
    version, commit = made.get("versions", {}).get("interpreto_mllm"), made.get("commit")
    told += [f"interpreto_mllm {version}"] if version else []
    told += [f"commit {str(commit)[:10]}"] if isinstance(commit, str) and commit else []
    facts = "".join(f"<span>{escape(one)}</span>" for one in told)
    about = f'<p class="about">{escape(shown.about)}</p>\n' if shown.about else ""
    return f'<h1>{escape(shown.title)}</h1>\n{about}<div class="facts">{facts}</div>\n'


def _warnings(shown: Shown) -> str:
    failed = sum(len(run.failed) for run in shown.runs)
    few = max((len(run.done) for run in shown.runs), default=0)
    texts = [f"{_counted(failed, 'sample')} could not be explained; the table of samples says why."] if failed else []
    if 0 < few < FEWEST_TO_TELL:
        texts.append(f"With {_counted(few, 'sample')}, intervals say little about other samples.")
    return "".join(f'<p class="warning" role="note">{escape(text)}</p>\n' for text in texts)


def _leaderboard(board: Leaderboard) -> str:
    if not board.metrics:
        return '<h2>Leaderboard</h2>\n<p class="note">No metrics were measured.</p>\n'
    head = "".join(
        f'<th{_detail(name)} data-direction="{direction(name)}"><button type="button">{escape(heading(name))}</button></th>'
        for name in board.metrics
    )
    head += '<th data-direction="lower"><button type="button">evaluations</button></th>'
    head += '<th data-direction="lower"><button type="button">seconds</button></th>'
    columns = [[row[index] for row in board.cells] for index in range(len(board.metrics))]
    body = ""
    for place, one in enumerate(board.entries):
        cells = "".join(_cell(column[place], column, name) for column, name in zip(columns, board.metrics, strict=True))
        costs = "".join(_plain(value, form) for value, form in ((one.evaluations, ",.0f"), (one.seconds, ",.2f")))
        kind = ' class="baseline"' if one.baseline else ""
        body += f"<tr{kind}><th>{breakable(one.name)}</th>{cells}{costs}</tr>\n"
    chance = any(cell is not None and cell.beats_random is False for row in board.cells for cell in row)
    marks = " <b>≈ random</b>: no better than a random ranking at 95 %." if chance else ""
    return (
        f'<h2>Leaderboard</h2>\n{_detail_switch(board.metrics)}<div class="wide"><table class="board"><thead><tr>'
        f"<th>method</th>{head}</tr></thead>\n"
        f'<tbody>{body}</tbody></table></div>\n<p class="legend-note">Means over samples with {100 * LEVEL:.0f} % bootstrap '
        f"intervals; the best of a column is bold.{marks} Click a column to sort by it.</p>\n"
    )


def _detail(metric: str) -> str:
    """The mark of columns and charts of parts of a metric, such as "precision@3", which are shown on demand."""
    return ' class="detail"' if "@" in metric else ""


def _detail_switch(metrics: Sequence[str]) -> str:
    several = any("@" in name for name in metrics)
    return '<div class="tools" hidden><label><input type="checkbox" class="details"> parts of metrics</label></div>\n' * several


def _cell(cell: Cell | None, column: Sequence[Cell | None], metric: str) -> str:
    if cell is None:
        return f"<td{_detail(metric)}>–</td>"
    known = [one for one in column if one is not None]
    kinds = [name for name, so in (("best", cell.best), ("detail", "@" in metric)) if so]
    scale = scale_of(column)
    told = f"{scale.plain(cell.low)} to {scale.plain(cell.high)}, {_counted(cell.count, 'sample')}"
    shown = Ranged(cell.mean, cell.low, cell.high, scale.plain(cell.mean), told, kinds, cell.beats_random is False)
    return ranged_cell(shown, (min(one.low for one in known), max(one.high for one in known)))


def _plain(value: float | None, form: str) -> str:
    return '<td class="none"></td>' if value is None else f'<td data-value="{value!r}"><span>{value:{form}}</span></td>'


def _curves(entries: Sequence[Entry], metrics: Sequence[str]) -> str:
    """A chart for each metric, where there are several budgets."""
    drawn = [(metric, curves(entries, metric)) for metric in metrics if direction(metric) != "none"]
    drawn = [(metric, series) for metric, series in drawn if series]
    if not drawn:
        return ""
    charts = "".join(
        f"<figure{_detail(metric)}>{chart(heading(metric), series, 'evaluations')}</figure>" for metric, series in drawn
    )
    keys = {one.label: one.colour for _, series in drawn for one in series}
    legend = "".join(
        f'<button type="button" data-key="{escape(name)}" aria-pressed="false"><i style="background: {colour_of(colour)}"></i>'
        f"{escape(name)}</button>"
        for name, colour in keys.items()
    )
    return f'<h2>Over the budget</h2>\n<div class="keys">{legend}</div>\n<div class="charts">{charts}</div>\n'


def _ranks(board: Leaderboard) -> str:
    """For each metric the methods by their mean rank over the samples, and which of them do not differ."""
    drawn = []
    for metric in board.metrics:
        found = None if "@" in metric else ranked(board, metric)
        if found is not None:
            title = f"{heading(metric)}, {_counted(found.prompts, 'sample')}"
            drawn.append(f"<figure>{ranks_chart(title, found.average_ranks, found.cliques())}</figure>")
    if not drawn:
        return ""
    note = "Mean ranks over samples, the best on top; bars join what does not differ by Wilcoxon's test with Holm's correction."
    return f'<h2>Ranks</h2>\n<div class="charts">{"".join(drawn)}</div>\n<p class="legend-note">{note}</p>\n'


def _gallery(gallery: Sequence[tuple[str, str]]) -> str:
    if not gallery:
        return ""
    parts = "".join(f"<section><h3>{escape(title)}</h3>{body}</section>" for title, body in gallery)
    return f'<h2>Examples</h2>\n<div class="gallery">{parts}</div>\n'


def _explorer(shown: Shown) -> str:
    """A line for each sample: its prompt, and the metric that is picked under each method, linked to the result."""
    entries = [one for one in shown.board.entries if not one.baseline]
    head = "".join(f"<th>{breakable(one.name)}</th>" for one in entries)
    metric = shown.board.metrics[0] if shown.board.metrics else None
    columns = [one.values(metric) if metric else {} for one in entries]
    numbers = [abs(value) for column in columns for value in column.values()]
    scale = NumberScale(max(numbers, default=0.0) or 1.0)
    body = ""
    for place, line in enumerate(shown.lines):
        cells = "".join(
            _sample_cell(line, one.name, column.get(line.identity), scale) for one, column in zip(entries, columns, strict=True)
        )
        named = escape(line.identity)
        if line.together:
            named = f'<a href="{escape(line.together)}">{named}</a>'
        hidden = ' class="later"' if place >= SAMPLES_SHOWN else ""
        body += (
            f'<tr data-sample="{escape(line.identity)}"{hidden}><th>{named}</th><td class="text"><span>{escape(line.text)}'
            f"</span><b>{escape(line.answer)}</b></td>{cells}</tr>\n"
        )
    picks = "".join(
        f'<option value="{index}">{escape(heading(name))}</option>' for index, name in enumerate(shown.board.metrics)
    )
    more = len(shown.lines) - SAMPLES_SHOWN
    button = f'<button type="button" class="more">show {more:,} more</button>' if more > 0 else ""
    return (
        '<h2>Samples</h2>\n<div class="tools" hidden><input type="search" class="find" placeholder="find in the samples" '
        f'aria-label="find in the samples"><label>metric <select class="metric">{picks}</select></label></div>\n'
        f'<div class="wide"><table class="samples"><thead><tr><th>sample</th><th>prompt and answer</th>{head}</tr></thead>\n'
        f"<tbody>{body}</tbody></table></div>{button}\n"
    )


def _sample_cell(line: SampleLine, entry: str, value: float | None, scale: NumberScale) -> str:
    if entry in line.errors:
        return f'<td class="failed" title="{escape(line.errors[entry])}">failed</td>'
    text = "–" if value is None else scale.plain(value)
    page = line.pages.get(entry)
    return f'<td><a href="{escape(page)}">{text}</a></td>' if page else f"<td>{text}</td>"


def _setup(runs: Sequence[RunResult]) -> str:
    """What was asked of each run, and with what it was made, folded."""
    parts = "".join(
        f"<h3>{escape(run.run.name)}</h3><pre>{escape(run.run.model_dump_json(exclude_defaults=True, indent=1))}</pre>"
        for run in runs
    )
    made = next((run.made for run in runs if run.made), {})
    versions = "".join(
        f"<tr><th>{escape(str(name))}</th><td>{escape(str(value))}</td></tr>"
        for name, value in made.get("versions", {}).items()
    )
    return f'<details class="settings"><summary>Settings</summary><table>{versions}</table>{parts}</details>'


def _data(shown: Shown) -> str:
    """What the script picks from, as JSON that cannot close its script element."""
    entries = [one for one in shown.board.entries if not one.baseline]
    values = [[one.values(metric) for one in entries] for metric in shown.board.metrics]
    content = {"directions": [direction(metric) for metric in shown.board.metrics], "values": values}
    return json.dumps(content, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")


def _counted(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"
