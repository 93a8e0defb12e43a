"""A room's tests are found from its name, and no room grows out of sight."""

from __future__ import annotations

import ast
import functools
import re
from collections.abc import Iterator
from pathlib import Path

import interpreto_mllm

PACKAGE = Path(interpreto_mllm.__file__).parent
TESTS = Path(__file__).parent
HELPERS = {"saved", "support"}
"""Folders of tests that hold none."""
SOURCES = sorted(PACKAGE.rglob("*.py"))
FILE_LINES, FUNCTION_LINES, DEPTH = 300, 40, 2

Function = ast.FunctionDef | ast.AsyncFunctionDef


def folders(root: Path) -> set[str]:
    """The folders in which there is Python, relative to the root, without the root itself."""
    return {path.parent.relative_to(root).as_posix() for path in root.rglob("*.py")} - {"."}


@functools.cache
def nodes(path: Path) -> list[ast.AST]:
    """Of the syntax tree of a file."""
    return [*ast.walk(ast.parse(path.read_text(encoding="utf-8")))]


def functions(path: Path) -> Iterator[Function]:
    return (node for node in nodes(path) if isinstance(node, Function))


def code_lines(function: Function) -> int:
    """The lines of a function without its docstring."""
    first = function.body[0]
    written = ast.get_docstring(function, clean=False) is not None
    return (function.end_lineno or 0) - function.lineno + 1 - ((first.end_lineno or 0) - first.lineno + 1) * written


def test_every_room_has_its_tests() -> None:
    untested = {room for room in folders(PACKAGE) if not [*(TESTS / room).glob("test_*.py")]}
    assert untested == set()


def test_every_folder_of_tests_is_a_rooms() -> None:
    strange = {room for room in folders(TESTS) if room.split("/")[0] not in HELPERS} - folders(PACKAGE)
    assert strange == set()


def test_helpers_hold_no_tests() -> None:
    assert [path.name for helper in HELPERS for path in (TESTS / helper).rglob("test_*.py")] == []


def test_folders_are_at_most_two_deep() -> None:
    assert {room for room in folders(PACKAGE) if room.count("/") >= DEPTH} == set()


def test_the_root_holds_the_public_names_and_the_result() -> None:
    assert {path.name for path in PACKAGE.glob("*.py")} == {"__init__.py", "attribution.py"}


def test_no_file_is_long() -> None:
    lengths = {path.relative_to(PACKAGE).as_posix(): len(path.read_text(encoding="utf-8").splitlines()) for path in SOURCES}
    assert {name: length for name, length in lengths.items() if length > FILE_LINES} == {}


def test_no_function_is_long() -> None:
    lengths = {f"{path.relative_to(PACKAGE)}: {one.name}": code_lines(one) for path in SOURCES for one in functions(path)}
    assert {name: length for name, length in lengths.items() if length > FUNCTION_LINES} == {}


def test_nothing_reads_source_code_at_run_time() -> None:
    """What a model does is tried on it."""
    assert [path.name for path in SOURCES if "getsource" in path.read_text(encoding="utf-8")] == []


def shapes(path: Path) -> Iterator[str]:
    """The shapes of the jaxtyping annotations in a file."""
    for node in nodes(path):
        if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Tuple) and len(node.slice.elts) == 2:
            shape = node.slice.elts[1]
            if isinstance(shape, ast.Constant) and isinstance(shape.value, str):
                yield shape.value


def test_every_letter_of_a_shape_is_in_the_table() -> None:
    table = set(re.findall(r"\| `([a-z])` \|", (TESTS.parent / "CONTRIBUTING.md").read_text(encoding="utf-8")))
    used = {axis for path in SOURCES for shape in shapes(path) for axis in re.findall(r"(?<![\w{])([a-z])(?![\w}])", shape)}
    assert used == table
