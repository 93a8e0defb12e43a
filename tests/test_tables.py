"""The benchmark tables of the README and the documentation are the published ones."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent
SCRIPT = runpy.run_path(str(ROOT / "benchmarks" / "fill_tables.py"))
PAGES: list[Path] = SCRIPT["PAGES"]
TABLES: dict[str, dict[str, Any]] = SCRIPT["published"]()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_page_holds_the_tables_that_make_tables_would_write(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert SCRIPT["filled"](text, TABLES) == text
    assert text.count("<!-- table: ") == len(SCRIPT["BLOCK"].findall(text))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_cell_stands_within_a_line_of_text(page: Path) -> None:
    """A comment at the beginning of a line ends its paragraph, and the bars within it are columns of a table."""
    lines = [line for line in page.read_text(encoding="utf-8").splitlines() if "<!-- cell: " in line]
    assert [line for line in lines if line.lstrip().startswith(("<!-- cell: ", "|"))] == []


def test_the_figure_of_methods_shows_the_published_numbers() -> None:
    """And each of its arrows is borne out by them, or drawing it fails."""
    script = runpy.run_path(str(ROOT / "benchmarks" / "choosing.py"))
    assert script["FIGURE"].read_text(encoding="utf-8") == script["drawing"]()
    page = (ROOT / "docs" / "methods.md").read_text(encoding="utf-8")
    assert all(f"`{step.method}`" in page for step in script["steps"]()) and "images/choosing.svg" in page


def test_every_published_file_is_on_a_page() -> None:
    text = "".join(page.read_text(encoding="utf-8") for page in PAGES)
    shown = [name for name in TABLES if f"<!-- table: {name} -->" in text]
    assert {name.split("/")[0] for name in shown} == {name.split("/")[0] for name in TABLES}


@pytest.mark.parametrize("name", TABLES)
def test_a_published_table_has_as_many_cells_as_columns_in_each_row(name: str) -> None:
    assert {len(row) for row in TABLES[name]["rows"]} == {len(TABLES[name]["columns"])}


def test_a_cell_stands_in_a_sentence() -> None:
    table = {"columns": ["method", "error"], "rows": [["one", "1"], ["two", "2"]]}
    page = "It is <!-- cell: a/b | two | error -->9<!-- end --> here, <!-- cell: a/b | one | error --><!-- end --> there."
    filled = SCRIPT["filled"](page, {"a/b": table})
    assert filled == page.replace("-->9<", "-->2<").replace("--><", "-->1<")
    with pytest.raises(ValueError, match="size"):
        SCRIPT["filled"](page.replace("error", "size"), {"a/b": table})


def test_rows_are_chosen_by_their_first_cells() -> None:
    table = {"columns": ["method", "error"], "rows": [["one", "1"], ["two", "2"], ["three", "3"]]}
    marker = "<!-- table: a/b | three | two -->\n"
    page = f"{marker}old\n<!-- end -->\n"
    expected = f"{marker}\n| method | error |\n| --- | ---: |\n| three | 3 |\n| two | 2 |\n\n<!-- end -->\n"
    assert SCRIPT["filled"](page, {"a/b": table}) == expected
    with pytest.raises(KeyError):
        SCRIPT["filled"](page.replace("three", "four"), {"a/b": table})
