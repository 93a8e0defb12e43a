"""Tables and pages of what metrics said."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape
from io import StringIO
from typing import TYPE_CHECKING, Any

from interpreto_mllm.metrics.metric import ARROWS
from interpreto_mllm.plots.board import Ranged, breakable, ranged_cell
from interpreto_mllm.plots.charts import ranks_chart
from interpreto_mllm.plots.html import document, stylesheet
from interpreto_mllm.plots.number_scale import NumberScale
from interpreto_mllm.plots.show import in_notebook

if TYPE_CHECKING:
    from interpreto_mllm.metrics.scoreboard import Faithfulness, Standing

MARK = "†"


def caption(board: Faithfulness, mark: str = MARK) -> str:
    """What the mark and the arrows mean, and the test behind the mark."""
    return (
        f"{mark} not better than random scores at 95 % (Monte Carlo test over {board.random_orders} random orders). "
        "↑ higher is better, ↓ lower is better."
    )


def headline_numbers(board: Faithfulness) -> list[str]:
    """The first number of each metric."""
    return list({entry.metric: entry.number for entry in reversed(board.entries)}.values())[::-1]


def rows(
    board: Faithfulness, occlusion: str | None, numbers: Sequence[str] | None
) -> tuple[list[str], list[list[Standing | None]]]:
    """The numbers of the columns, and for each method or baseline its standing in each."""
    chosen = headline_numbers(board) if numbers is None else list(numbers)
    columns = [{one.method: one for one in board.standings(number, occlusion)} for number in chosen]
    names = list(dict.fromkeys(name for column in columns for name in column))
    names.sort(key=lambda name: name not in board.methods)
    return chosen, [[column.get(name) for column in columns] for name in names]


def heading(board: Faithfulness, number: str) -> str:
    """A number with the arrow of its better side."""
    return f"{number} {ARROWS[board.metric_of(number).direction]}".strip()


def cell(standing: Standing | None) -> str:
    """A mean, marked where it is not better than random."""
    if standing is None or math.isnan(standing.mean):
        return "–"
    size = abs(standing.mean)
    shown = f"{standing.mean:.2f}" if size < 1000 and (size >= 0.005 or size == 0) else f"{standing.mean:.0e}"
    return f"{shown}{MARK if by_chance(standing) else ''}"


def by_chance(standing: Standing) -> bool:
    """Whether a number is known not to be better than random scores."""
    return not math.isnan(standing.p_value) and not standing.beats_random


def name_of(standings: Sequence[Standing | None]) -> Standing:
    """Any standing of a line, which knows the method's name."""
    return next(one for one in standings if one is not None)


def rich_table(board: Faithfulness, occlusion: str | None, numbers: Sequence[str] | None) -> Any:
    """A rich table of means over the prompts."""
    from rich.box import SIMPLE
    from rich.table import Table

    occlusion = board.occlusions[0] if occlusion is None else occlusion
    chosen, lines = rows(board, occlusion, numbers)
    table = Table(title=f"absent features: {occlusion}", title_justify="left", box=SIMPLE)
    table.add_column("method", no_wrap=True)
    for number in chosen:
        table.add_column(heading(board, number), justify="right", overflow="fold", min_width=7)
    for standings in lines:
        one = name_of(standings)
        table.add_row(one.method, *map(cell, standings), style="dim" if one.baseline else None)
    return table


def show(board: Faithfulness) -> None:
    """Print the tables, or show them in a notebook."""
    if in_notebook():
        from IPython.display import HTML, display

        display(HTML(body(board)))
        return
    from rich.console import Console

    write(board, Console())


def plain(board: Faithfulness) -> str:
    """The tables as text."""
    from rich.console import Console

    text = StringIO()
    write(board, Console(file=text, width=60 + 22 * len(headline_numbers(board)), color_system=None))
    return "\n".join(line.rstrip() for line in text.getvalue().splitlines())


def write(board: Faithfulness, console: Any) -> None:
    """The tables of all occlusions, and where these disagree."""
    for occlusion in board.occlusions:
        console.print(rich_table(board, occlusion, None))
    console.print(caption(board), style="dim", highlight=False)
    if disagreement := flipped(board):
        console.print(disagreement, highlight=False)


def flipped(board: Faithfulness) -> str:
    """Which verdicts depend on how absent features disappear."""
    flips = [(number, method) for number, method in board.flips() if number in headline_numbers(board)]
    if len(board.occlusions) < 2:
        return ""
    if not flips:
        return "Both occlusions agree on which methods are better than random."
    told = "; ".join(f"{method} by {number}" for number, method in flips)
    return f"Whether these are better than random depends on how absent features disappear: {told}."


def body(board: Faithfulness) -> str:
    """The tables in HTML, and the pictures of ranks."""
    parts = ["<h1>Faithfulness</h1>"]
    for occlusion in board.occlusions:
        chosen, lines = rows(board, occlusion, None)
        head = "".join(f"<th>{escape(heading(board, number))}</th>" for number in chosen)
        columns = [[one for one in column if one and not math.isnan(one.mean)] for column in zip(*lines, strict=True)]
        parts.append(
            f'<h2>Absent features: {escape(occlusion)}</h2>\n<div class="wide"><table class="board"><thead><tr><th>method</th>'
            f"{head}</tr></thead>\n<tbody>{''.join(_line(standings, columns) for standings in lines)}</tbody></table></div>"
        )
    parts.append(f'<p class="legend-note">{escape(caption(board, "≈ random:"))} {escape(flipped(board))}</p>')
    drawn = "".join(f"<figure>{picture}</figure>" for picture in pictures(board))
    parts.append(f'<h2>Ranks</h2>\n<div class="charts">{drawn}</div>')
    return f'<div class="attribution report"><style>{stylesheet()}</style>\n' + "\n".join(parts) + "\n</div>"


def page(board: Faithfulness) -> str:
    """A page of its own."""
    return document("Faithfulness", body(board))


def pictures(board: Faithfulness) -> list[str]:
    """For each headline number that has a better side the mean ranks, and which methods do not differ."""
    found = []
    for number in headline_numbers(board):
        if board.metric_of(number).direction != "none":
            compared = board.comparison(number)
            found.append(ranks_chart(heading(board, number), compared.average_ranks, compared.cliques()))
    return found


def _line(standings: Sequence[Standing | None], columns: Sequence[Sequence[Standing]]) -> str:
    one = name_of(standings)
    cells = "".join(_cell(each, column) for each, column in zip(standings, columns, strict=True))
    kind = ' class="baseline"' if one.baseline else ""
    return f"<tr{kind}><th>{breakable(one.method)}</th>{cells}</tr>\n"


def _cell(standing: Standing | None, column: Sequence[Standing]) -> str:
    if standing is None or math.isnan(standing.mean):
        return "<td>–</td>"
    scale = NumberScale(max(abs(one.mean) for one in column))
    told = f"95 % interval {scale.plain(standing.low)} to {scale.plain(standing.high)}"
    text, chance = scale.plain(standing.mean), by_chance(standing)
    shown = Ranged(standing.mean, standing.low, standing.high, text, told, (), chance)
    return ranged_cell(shown, (min(one.low for one in column), max(one.high for one in column)))
