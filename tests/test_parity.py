"""Every row of docs/parity.md has a test that runs, and the page is the one that its data make."""

from __future__ import annotations

import ast
import re
import runpy
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent
SCRIPT = runpy.run_path(str(ROOT / "benchmarks" / "parity_page.py"))
DATA: dict[str, Any] = SCRIPT["read"]()
ROWS: list[dict[str, str]] = DATA["row"]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def names_of(extra: str) -> set[str]:
    """What an extra installs, by the names of modules."""
    return {re.split(r"[>=\[ ]", one)[0].replace("-", "_") for one in PROJECT["project"]["optional-dependencies"][extra]}


INSTALLED = set().union(*map(names_of, ("plot", "frame", "image", "audio", "remote", "text", "dev")))
MARKERS = {marker.split(":")[0] for marker in PROJECT["tool"]["pytest"]["ini_options"]["markers"]} - {"vendor"}


@cache
def functions_of(file: str) -> dict[str, ast.FunctionDef]:
    """The functions at the top of a file of tests, by name."""
    tree = ast.parse((ROOT / "tests" / file).read_text(encoding="utf-8"))
    return {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}


def parts(node: ast.AST) -> Iterator[ast.AST]:
    """All of a node but single parameters, whose marks leave the others alone."""
    if isinstance(node, ast.Call) and ast.unparse(node.func) == "pytest.param":
        return
    yield node
    for child in ast.iter_child_nodes(node):
        yield from parts(child)


def reasons_not_to_run(test: ast.FunctionDef) -> Iterator[str]:
    """What could keep a test from running: a marker, a skip within it, or a package that development does not install."""
    for node in (one for part in (*test.decorator_list, *test.body) for one in parts(part)):
        if isinstance(node, ast.Attribute) and node.attr in MARKERS | {"skip", "skipif", "xfail"}:
            yield node.attr
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "pytest.importorskip":
            [name] = [one.value for one in node.args[:1] if isinstance(one, ast.Constant)]
            if name not in INSTALLED:
                yield f"importorskip({name})"


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row['peer']}: {row['capability']}")
def test_every_row_has_a_test_that_runs(row: dict[str, str]) -> None:
    file, name = row["test"].split("::")
    assert (ROOT / "tests" / file).is_file(), f"there is no {file}"
    assert name in functions_of(file), f"{file} has no {name}"
    assert list(reasons_not_to_run(functions_of(file)[name])) == []
    ast.parse(row["call"], mode="eval")


def test_rows_are_told_apart_and_nothing_is_left_out_without_a_reason() -> None:
    assert {row["peer"] for row in ROWS} == set(DATA["peers"])
    named = [(row["peer"], row["capability"]) for row in (*ROWS, *DATA["left_out"])]
    assert len(named) == len(set(named))
    assert all(len(row["reason"].split()) > 4 for row in DATA["left_out"])


def test_the_page_is_the_one_that_the_data_make() -> None:
    assert SCRIPT["PAGE"].read_text(encoding="utf-8") == SCRIPT["page"](DATA)


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("@pytest.mark.xfail\ndef test_it():\n    pass", "xfail"),
        ("@pytest.mark.thorough\ndef test_it():\n    pass", "thorough"),
        ("@pytest.mark.parametrize('x', [1, pytest.param(2, marks=pytest.mark.thorough)])\ndef test_it():\n    pass", None),
        ("def test_it():\n    pytest.skip('no')", "skip"),
        ("def test_it():\n    pytest.importorskip('shap')", "importorskip(shap)"),
        ("def test_it():\n    pytest.importorskip('peft')", None),
    ],
)
def test_tests_that_may_not_run_are_found(source: str, reason: str | None) -> None:
    [test] = ast.parse(source).body
    assert isinstance(test, ast.FunctionDef)
    assert list(reasons_not_to_run(test)) == ([reason] if reason else [])
