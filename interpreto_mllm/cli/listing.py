"""Tables of what there is: methods, metrics, suites."""

from __future__ import annotations

import inspect
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from interpreto_mllm.cli.console import console


def show(what: str) -> None:
    """Print a table of "methods", "metrics" or "suites"."""
    {"methods": _methods, "metrics": _metrics, "suites": _suites}[what]()


def first_sentence(text: str | None) -> str:
    """The first sentence of a docstring on one line.

    Example:
        >>> first_sentence("Owen values: one\\n    game. And more.")
        'Owen values: one game.'
    """
    words = " ".join(inspect.cleandoc(text or "").split("\n\n")[0].split())
    return words[: words.index(". ") + 1] if ". " in words else words


def _methods() -> None:
    from interpreto_mllm.studies import aliases
    from interpreto_mllm.studies.methods import METHODS, find_method, method_names, own_parameters

    called: dict[str, list[str]] = {}
    for alias, (name, _) in aliases.METHODS.items():
        called.setdefault(name, []).append(alias)
    rows = []
    for name in method_names():
        if name in aliases.METHODS:
            continue
        kind = find_method(name)
        own = ", ".join(own_parameters(kind))
        rows.append(
            [name if name in METHODS else f"{name} *", first_sentence(kind.__doc__), own, ", ".join(called.get(name, []))]
        )
    _print(["method", "what it is", "arguments", "also called"], rows)
    console().print('[dim]Your own: "package.module:Name", or an entry point of the group interpreto_mllm.methods (marked *).')


def _metrics() -> None:
    from interpreto_mllm.metrics.catalogue import METRICS

    signs = {"higher": "↑", "lower": "↓"}
    rows = [[name, signs.get(one.direction, ""), one.cost, one.formula, one.paper] for name, one in METRICS.items()]
    _print(["metric", "better", "costs", "formula", "paper"], rows)


def _suites() -> None:
    from interpreto_mllm.cli.suites.catalogue import SUITES

    _print(["suite", "what it measures", "takes"], [[one.name, one.about, one.takes] for one in SUITES.values()])
    console().print("[dim]Run one: interpreto-mllm suite NAME")


def _print(columns: list[str], rows: list[list[Any]]) -> None:
    table = Table(box=SIMPLE_HEAD, show_edge=False, padding=(0, 1))
    for index, column in enumerate(columns):
        table.add_column(column, no_wrap=index == 0, style="bold" if index == 0 else None, max_width=None if index < 2 else 24)
    for row in rows:
        table.add_row(*(Text(str(cell)) for cell in row))
    console().print(table)
