"""Interactions as tables: in the terminal, in a notebook cell and on a page."""

from __future__ import annotations

import math
from html import escape

from interpreto_mllm.plots.colours import AGAINST, TOWARDS, hexadecimal
from interpreto_mllm.plots.description import counted
from interpreto_mllm.plots.html import document, stylesheet
from interpreto_mllm.plots.show import in_notebook
from interpreto_mllm.plots.text import shortened, visible
from interpreto_mllm.results.interactions import NAMES, SETS, Interaction, SetValues

TARGETS_SHOWN, BAR_COLUMNS, LONGEST_NAME = 8, 24, 28


def show(interactions: SetValues, top: int) -> None:
    """Display HTML in a notebook, print a table elsewhere."""
    if in_notebook():
        from IPython.display import HTML, display

        display(HTML(fragment(interactions, top)))
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console()
    console.print(Text(" · ".join(_facts(interactions)), style="dim"))
    for target, label in enumerate(interactions.targets[:TARGETS_SHOWN]):
        found = interactions.top(top, target)
        bound = max((abs(one.value) for one in found), default=0.0) or 1.0
        table = Table.grid(padding=(0, 2))
        for one in found:
            bar = Text("█" * round(abs(one.value) / bound * BAR_COLUMNS) or "▏", _colour(one))
            table.add_row(Text(_name(one)), Text(one.number), bar)
        console.print(Text(f"\n{visible(label)}", style="bold"), table)
    left = len(interactions.targets) - TARGETS_SHOWN
    if left > 0:
        console.print(Text(f"… and {counted(left, 'target')} more; to_html() shows all", style="dim"))


def page(interactions: SetValues, top: int) -> str:
    """One self-contained page."""
    return document(f"Interactions: {NAMES[interactions.index]}", fragment(interactions, top))


def fragment(interactions: SetValues, top: int) -> str:
    """The strongest sets of each target, with bars on one scale and whiskers of two standard errors."""
    facts = "".join(f"<span>{escape(fact)}</span>" for fact in _facts(interactions)[1:])
    parts = [f'<div class="facts"><b>{escape(_facts(interactions)[0])}</b>{facts}</div>']
    if interactions.errors is None:
        parts.append('<p class="warning" role="note">Errors are not known: trust the order, not the values.</p>')
    tables = [(label, interactions.top(top, target)) for target, label in enumerate(interactions.targets)]
    bound = max((abs(one.value) + _half(one) for _, found in tables for one in found), default=0.0) or 1.0
    for label, found in tables:
        rows = "".join(_row(one, bound) for one in found)
        parts.append(f'<h2 style="text-transform: none">{escape(visible(label))}</h2>\n<ol class="bars">{rows}</ol>')
    return f'<div class="attribution">\n<style>{stylesheet()}</style>\n' + "\n".join(parts) + "\n</div>"


def _row(one: Interaction, bound: float) -> str:
    share, half = one.value / bound, _half(one) / bound
    ends = f"--from: {max(share - half, -1):.3f}; --to: {min(share + half, 1):.3f}"
    whisker = f'<s style="{ends}"></s>' if half > 0 else ""
    kind, name = "towards" if one.value > 0 else "against", escape(_name(one))
    return (
        f'<li><span class="name" title="{name}">{name}</span><span class="score">{escape(one.number)}</span>'
        f'<span class="track"><i class="{kind}" style="--strength: {abs(share):.3f}"></i>{whisker}</span></li>'
    )


def _half(one: Interaction) -> float:
    """Half the width of an interval, zero where no error is known."""
    error = one.standard_error
    return 0.0 if error is None or math.isnan(error) else 2 * error


def _facts(interactions: SetValues) -> list[str]:
    """What was estimated, and of what."""
    some = counted(len(interactions.sets), SETS[interactions.order])
    state = "exact" if interactions.exact else ""
    return [fact for fact in (NAMES[interactions.index], some, counted(interactions.n, "feature"), state) if fact]


def _name(one: Interaction) -> str:
    return " × ".join(shortened(visible(name), LONGEST_NAME) for name in one.names)


def _colour(one: Interaction) -> str:
    return hexadecimal(TOWARDS if one.value > 0 else AGAINST)
