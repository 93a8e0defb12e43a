"""The tables of the accuracy benchmark, as Markdown."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from rich.box import MARKDOWN
from rich.console import Console
from rich.table import Table

EXACT = 1e-16
TITLES = {
    "model": "log-probabilities of the shipped model's answers",
    "response": "cosine similarities of the shipped model's responses",
    "synthetic": "six synthetic games",
}
Record = dict[str, Any]
Mean = Callable[[list[float]], float]


def sampled(records: list[Record]) -> list[Record]:
    """Those whose budget does not cover all coalitions."""
    return [record for record in records if record["times"] * record["n"] < 2 ** record["n"]]


def geometric_mean(values: list[float]) -> float:
    """Over those that are numbers."""
    kept = [max(value, EXACT) for value in values if value == value]
    return float(np.exp(np.mean(np.log(kept)))) if kept else float("nan")


def mean(values: list[float]) -> float:
    """The plain one."""
    return float(np.mean(values))


def cells(records: list[Record], what: str, columns: tuple[str, ...], mean: Mean) -> dict[tuple, float]:
    """Means of one quantity, by estimator and columns."""
    found: dict[tuple, list[float]] = {}
    for record in records:
        if what in record:
            found.setdefault((record["estimator"], *(record[column] for column in columns)), []).append(record[what])
    return {key: mean(values) for key, values in found.items()}


def show(records: list[Record]) -> None:
    """All tables, a source of games at a time."""
    for source in dict.fromkeys(record["source"] for record in records):
        chosen = sampled([record for record in records if record["source"] == source])
        games = len({(record["game"], record["n"], record["seed"]) for record in chosen})
        Console().print(f"\n[bold]{TITLES[source]}[/bold] ({games} games)\n")
        for n in sorted({record["n"] for record in chosen}):
            show_errors([record for record in chosen if record["n"] == n], f"error, n = {n}")
        show_errors(chosen, "error, all n")
        show_rest(chosen)
    show_ratios(sampled(records))


def show_errors(records: list[Record], title: str) -> None:
    """Relative squared errors of estimators by budget, the best of each column in bold."""
    means = cells(records, "error", ("times",), geometric_mean)
    estimators = list(dict.fromkeys(record["estimator"] for record in records))
    budgets = sorted({record["times"] for record in records})
    best = {times: min(means.get((name, times), np.inf) for name in estimators) for times in budgets}
    rows = []
    for name in estimators:
        found = [(means.get((name, times), float("nan")), best[times]) for times in budgets]
        rows.append([name, *(_error(value) if value > least else f"**{_error(value)}**" for value, least in found)])
    print_table(title, [f"{times}n" for times in budgets], rows)


def show_rest(records: list[Record]) -> None:
    """Coverage of 95 % intervals, correlation of ranks, share of the top three, and seconds, by estimator and budget."""
    budgets = sorted({record["times"] for record in records} & {5, 10, 20})
    headings = {"cover": "cover", "rank": "rank", "top": "top 3", "seconds": "s"}
    means = {what: cells(records, what, ("times",), mean) for what in headings}
    rows = []
    for name in dict.fromkeys(record["estimator"] for record in records):
        row = [name]
        for what in headings:
            found = [means[what].get((name, times), float("nan")) for times in budgets]
            row += ["–" if value != value else f"{value:.2f}" if what != "cover" else f"{value:.1%}" for value in found]
        rows.append(row)
    print_table("", [f"{heading}, {times}n" for heading in headings.values() for times in budgets], rows)


def show_ratios(records: list[Record]) -> None:
    """What the library's estimators err beside the best of shapiq's, chosen afterwards for each game, n and budget."""
    means = cells(records, "error", ("source", "game", "n", "times"), geometric_mean)
    budgets = sorted({record["times"] for record in records})
    rows = []
    for name in ("GaussianProcessShapley", "KernelShap"):
        for source in dict.fromkeys(record["source"] for record in records):
            row = [f"{name}, {TITLES[source]}"]
            for times in budgets:
                ratios = []
                for (estimator, *cell), error in means.items():
                    if estimator == name and cell[0] == source and cell[3] == times:
                        theirs = [e for (other, *c), e in means.items() if other.startswith("shapiq") and c == cell]
                        ratios.append(error / min(theirs))
                row.append(f"{geometric_mean(ratios):.2f}")
            rows.append(row)
    print_table("error over that of shapiq's best", [f"{times}n" for times in budgets], rows)


def _error(value: float) -> str:
    return "–" if value != value else f"{value:.1e}".replace("e-0", "e-").replace("e+00", "")


def print_table(title: str, columns: list[str], rows: list[list[str]]) -> None:
    """A table in Markdown, numbers to the right."""
    table = Table(title, box=MARKDOWN)
    for column in columns:
        table.add_column(column, justify="right")
    for row in rows:
        table.add_row(*row)
    Console(width=190).print(table)
