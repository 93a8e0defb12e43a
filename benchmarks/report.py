"""The tables of a benchmark run: printed as Markdown, and written to results/tables/."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.box import MARKDOWN
from rich.console import Console
from rich.table import Table

RESULTS = Path(__file__).parent / "results" / "tables"
EXACT = 1e-16
TITLES = {
    "model": "text, log-probabilities",
    "response": "text, responses",
    "sight": "pictures and text, log-probabilities",
    "hearing": "sounds and text, log-probabilities",
    "synthetic": "six synthetic games",
}
SHORT_TITLES = {
    "model": "log-probabilities",
    "response": "responses",
    "sight": "pictures",
    "hearing": "clips",
    "synthetic": "synthetic",
}
FORMATS: dict[str, Callable[[float], str]] = {
    "error": lambda value: f"{value:.1e}".replace("e-0", "e-").replace("e+00", ""),
    "cover": lambda value: f"{value:.1%}",
    "rank": lambda value: f"{value:.2f}",
    "top": lambda value: f"{value:.2f}",
    "seconds": lambda value: f"{value:.3f}",
    "ratio": lambda value: f"{value:.2g}" if value < 0.1 else f"{value:.2f}" if value < 10 else f"{value:.0f}",
}
KINDS = {"model and response": ("model", "response"), "sight and hearing": ("sight", "hearing")}
REST = {"rank": "rank correlation", "top": "of the top 3", "seconds": "seconds"}
Record = dict[str, Any]
Mean = Callable[[list[float]], float]


class Report:
    """The tables of one run. `fill_tables.py` says how they are published.

    Args:
        name: of the benchmark, and of the file that `save` writes.
        folder: for that file, and for a page; `results/tables` and no page unless given.
    """

    def __init__(self, name: str, folder: Path | None = None):
        self.name, self.folder = name, folder
        self._path, self._tables = (folder or RESULTS) / f"{name}.json", {}

    def add(self, title: str, columns: list[str], rows: list[list[str]], name: str | None = None) -> None:
        """Print a table, its title above the first column, and keep it under a name, by default its title."""
        self._tables[name or title] = {"columns": [title, *columns], "rows": rows}
        table = Table(title, box=MARKDOWN)
        for column in columns:
            table.add_column(column, justify="right")
        for row in rows:
            table.add_row(*row)
        Console(width=190).print(table)

    def stream(self, title: str, columns: list[str], rows: Iterable[list[str]], name: str | None = None) -> None:
        """Print the rows of a table as they come, and keep it."""
        print("| " + " | ".join([title, *columns]) + " |", flush=True)
        print("|" + " --- |" * (len(columns) + 1), flush=True)
        kept = []
        for row in rows:
            print("| " + " | ".join(row) + " |", flush=True)
            kept.append(row)
        self._tables[name or title] = {"columns": [title, *columns], "rows": kept}

    def save(self) -> None:
        """Write all tables and the command that made them, one row a line."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        tables = [f"    {_json(name)}: {_table_json(table)}" for name, table in self._tables.items()]
        content = f'{{\n  "command": {_json(_command())},\n  "tables": {{\n' + ",\n".join(tables) + "\n  }\n}\n"
        self._path.write_text(content, encoding="utf-8")

    def page(
        self, title: str, about: str, charts: Sequence[str] = (), links: Sequence[Any] = (), facts: Sequence[str] = ()
    ) -> None:
        """Write a page of the tables into the folder, and say where it is."""
        from interpreto_mllm.studies.tables_page import Sheet, tables_page

        if self.folder is not None:
            sheets = [Sheet(table["columns"], table["rows"]) for table in self._tables.values()]
            path = self.folder / "index.html"
            path.write_text(tables_page(title, about, sheets, charts, links, facts), encoding="utf-8")
            print(f"Report: {path}", flush=True)


def _command() -> str:
    """The command of this process, as it is written in a clone and without the folder of its output."""
    given = sys.argv[1:]
    if "--out" in given:
        del given[given.index("--out") : given.index("--out") + 2]
    return " ".join(["python", f"benchmarks/{Path(sys.argv[0]).name}", *given])


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _table_json(table: dict[str, Any]) -> str:
    rows = ",\n".join(f"        {_json(row)}" for row in table["rows"])
    return f'{{\n      "columns": {_json(table["columns"])},\n      "rows": [\n{rows}\n      ]\n    }}'


def sampled(records: list[Record]) -> list[Record]:
    """Records whose budget does not cover all coalitions."""
    return [record for record in records if record["times"] * record["n"] < 2 ** record["n"]]


def geometric_mean(values: list[float]) -> float:
    """Of all values that are not NaN."""
    kept = [max(value, EXACT) for value in values if value == value]
    return float(np.exp(np.mean(np.log(kept)))) if kept else float("nan")


def mean(values: list[float]) -> float:
    """The arithmetic mean."""
    return float(np.mean(values))


def cells(records: list[Record], what: str, columns: tuple[str, ...], mean: Mean) -> dict[tuple, float]:
    """Means of one quantity, by estimator and columns."""
    found: dict[tuple, list[float]] = {}
    for record in records:
        if what in record:
            found.setdefault((record["estimator"], *(record[column] for column in columns)), []).append(record[what])
    return {key: mean(values) for key, values in found.items()}


def show(records: list[Record], report: Report) -> None:
    """All tables of the accuracy benchmark: errors by source and n, then summaries over n."""
    records = sampled(records)
    for source in dict.fromkeys(record["source"] for record in records):
        chosen = [record for record in records if record["source"] == source]
        games = len({(record["game"], record["n"], record["seed"]) for record in chosen})
        Console().print(f"\n{TITLES[source]}: {games} games\n")
        for n in sorted({record["n"] for record in chosen}):
            show_means(report, [record for record in chosen if record["n"] == n], "error", f"{TITLES[source]}, n = {n}")
    for source in dict.fromkeys(record["source"] for record in records):
        show_means(report, [record for record in records if record["source"] == source], "error", SHORT_TITLES[source])
    for title, sources in KINDS.items():
        chosen = [record for record in records if record["source"] in sources and record["times"] in (5, 10, 20)]
        if chosen:
            show_means(report, chosen, "cover", f"{title}: 95 % intervals cover")
            show_rest(report, [record for record in chosen if record["times"] == 10], f"{title}, 10n")
    show_ratios(report, records)


def show_means(report: Report, records: list[Record], what: str, title: str) -> None:
    """One quantity by estimator and budget; for errors the geometric mean, with the lowest in bold."""
    means = cells(records, what, ("times",), geometric_mean if what == "error" else mean)
    budgets = sorted({record["times"] for record in records})
    names = list(dict.fromkeys(name for name, _ in means))
    rows = []
    for name in names:
        row = [name]
        for times in budgets:
            value, least = means.get((name, times), np.nan), min(means.get((other, times), np.inf) for other in names)
            text = FORMATS[what](value) if value == value else "–"
            row.append(f"**{text}**" if what == "error" and value == least else text)
        rows.append(row)
    report.add(title, [f"{times}n" for times in budgets], rows)


def show_rest(report: Report, records: list[Record], title: str) -> None:
    """Means of the remaining quantities by estimator."""
    means = {what: cells(records, what, (), mean) for what in REST}
    names = dict.fromkeys(record["estimator"] for record in records)
    rows = [[name, *(FORMATS[what](means[what][name,]) for what in REST)] for name in names]
    report.add(title, list(REST.values()), rows)


def show_ratios(report: Report, records: list[Record]) -> None:
    """Errors relative to the best of shapiq's estimators, chosen in hindsight for each game, n and budget."""
    means = cells(records, "error", ("source", "game", "n", "times"), geometric_mean)
    budgets = sorted({record["times"] for record in records})
    sources = list(dict.fromkeys(record["source"] for record in records))
    groups = {TITLES[source]: [source] for source in sources}
    groups["all of the shipped models"] = [source for source in sources if source != "synthetic"]
    rows = []
    for name in ("GaussianProcessShapley", "KernelShap"):
        for title, members in groups.items():
            row = [f"{name}, {title}"]
            for times in budgets:
                ratios = []
                for (estimator, *cell), error in means.items():
                    if estimator == name and cell[0] in members and cell[3] == times:
                        theirs = [e for (other, *c), e in means.items() if other.startswith("shapiq") and c == cell]
                        ratios.append(error / min(theirs))
                row.append(FORMATS["ratio"](geometric_mean(ratios)))
            rows.append(row)
    report.add("error over that of shapiq's best", [f"{times}n" for times in budgets], rows)
