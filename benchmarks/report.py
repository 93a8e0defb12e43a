"""The tables of the accuracy benchmark."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

EXACT = 1e-16
Record = dict[str, Any]
Mean = Callable[[list[float]], float]


def geometric_mean(values: list[float]) -> float:
    """Over those that are numbers."""
    kept = [max(value, EXACT) for value in values if value == value]
    return float(np.exp(np.mean(np.log(kept)))) if kept else float("nan")


def cells(
    records: list[Record], what: str, columns: tuple[str, ...], mean: Callable[[list[float]], float]
) -> dict[tuple, float]:
    """Means of one quantity, by estimator and columns."""
    found: dict[tuple, list[float]] = {}
    for record in records:
        if what in record:
            found.setdefault((record["estimator"], *(record[column] for column in columns)), []).append(record[what])
    return {key: mean(values) for key, values in found.items()}


def show_errors(records: list[Record], title: str) -> None:
    """A table of estimators by features and budgets, the best of each column in bold."""
    means = cells(records, "error", ("n", "times"), geometric_mean)
    estimators = list(dict.fromkeys(record["estimator"] for record in records))
    columns = sorted({(record["n"], record["times"]) for record in records})
    table = Table("relative squared error", title=title, title_justify="left")
    for n, times in columns:
        table.add_column(f"n={n}\n{times}n", justify="right")
    best = {column: min(means.get((name, *column), np.inf) for name in estimators) for column in columns}
    for name in estimators:
        row = []
        for column in columns:
            mean = means.get((name, *column), float("nan"))
            text = "–" if mean != mean else "exact" if mean < 1e-14 else f"{mean:.1e}".replace("e-0", "e-")
            row.append(f"[bold]{text}[/bold]" if mean == best[column] else text)
        table.add_row(name, *row)
    Console(width=190).print(table)


def show_rest(records: list[Record], title: str) -> None:
    """Coverage of 95 % intervals, correlation of ranks, share of the top three, and seconds, by estimator and budget."""
    estimators = list(dict.fromkeys(record["estimator"] for record in records))
    budgets = sorted({record["times"] for record in records} & {5, 10, 20})
    table = Table("", title=title, title_justify="left")
    headings = {"cover": "95 % cover", "rank": "rank corr.", "top": "top 3", "seconds": "seconds"}
    means = {what: cells(records, what, ("times",), lambda values: float(np.mean(values))) for what in headings}
    for what in headings:
        for times in budgets:
            table.add_column(f"{headings[what]}\n{times}n", justify="right")
    for name in estimators:
        row = []
        for what in headings:
            found = [means[what].get((name, times), float("nan")) for times in budgets]
            row += ["–" if value != value else f"{value:.2f}" if what != "cover" else f"{value:.1%}" for value in found]
        table.add_row(name, *row)
    Console(width=190).print(table)
