"""Write the published benchmark tables into README.md and docs/*.md: `make tables`.

A page marks where a table goes by the name of a file in benchmarks/published/ and of a table in it:

    <!-- table: accuracy/log-probabilities -->

    <!-- end -->

Some of its rows only, chosen by their first cells:

    <!-- table: accuracy/log-probabilities | GaussianProcessShapley | KernelShap -->

One cell, inside a sentence, chosen by its row and its column:

    took <!-- cell: speed/text | 64 words | captum 0.9 -->4×<!-- end --> as long

A benchmark writes its tables to benchmarks/results/tables/. To publish them, copy the file to benchmarks/published/ and run
`make tables`. A file there may have another name, where a benchmark is published with several settings.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
PUBLISHED = ROOT / "benchmarks" / "published"
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"(<!-- table: (?P<name>[^|\n]+?)(?P<rows>( \|[^|\n]+?)*) -->\n).*?(<!-- end -->)", re.DOTALL)

CELL = re.compile(r"(<!-- cell: (?P<name>[^|\n]+?) \| (?P<row>[^|\n]+?) \| (?P<column>[^|\n]+?) -->).*?(<!-- end -->)")


def published() -> dict[str, dict[str, Any]]:
    """All tables, as columns and rows of text, by "file/table"."""
    contents = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted(PUBLISHED.glob("*.json"))}
    return {f"{stem}/{name}": table for stem, content in contents.items() for name, table in content["tables"].items()}


def selected(rows: list[list[str]], names: list[str]) -> list[list[str]]:
    """The rows whose first cells are named, in the order of the names; without names, all rows."""
    if not names:
        return rows
    by_name = {row[0]: row for row in rows}
    return [by_name[name] for name in names]


def markdown(columns: list[str], rows: list[list[str]]) -> str:
    """A table in Markdown, columns of numbers to the right."""
    numeric = [i > 0 and any(character.isdigit() for row in rows for character in row[i]) for i in range(len(columns))]
    rule = ["---:" if right else "---" for right in numeric]
    return "".join(f"| {' | '.join(row)} |\n" for row in (columns, rule, *rows))


def filled(page: str, tables: dict[str, dict[str, Any]]) -> str:
    """The text of a page, with every marked table and cell filled in.

    Raises:
        KeyError: A page names a table or a row that is not published.
        ValueError: It names a column that is not.
    """

    def block(match: re.Match[str]) -> str:
        table = tables[match["name"]]
        names = [name.strip() for name in match["rows"].split("|")[1:]]
        return f"{match[1]}\n{markdown(table['columns'], selected(table['rows'], names))}\n<!-- end -->"

    def cell(match: re.Match[str]) -> str:
        table = tables[match["name"]]
        [row] = selected(table["rows"], [match["row"]])
        return f"{match[1]}{row[table['columns'].index(match['column'])]}<!-- end -->"

    return CELL.sub(cell, BLOCK.sub(block, page))


def main() -> None:
    tables = published()
    for path in PAGES:
        path.write_text(filled(path.read_text(encoding="utf-8"), tables), encoding="utf-8")


if __name__ == "__main__":
    main()
