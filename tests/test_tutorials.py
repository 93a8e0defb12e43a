"""The tutorials run as they are, and hold no outputs that could go stale: these are made whenever the site is built."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest

DOCS = Path(__file__).parent.parent / "docs"
sys.path.insert(0, str(DOCS))

from notebooks import TUTORIALS, Kernel, kernel  # noqa: E402

PATHS = sorted(TUTORIALS.glob("*.ipynb"))
DEAR = {"study": "its calls are those of docs/studies.md", "estimator_and_budget": "and these those of docs/certainty.md"}
"""Run by `make thorough`."""
RUN = [pytest.param(path, marks=[pytest.mark.thorough] if path.stem in DEAR else [], id=path.stem) for path in PATHS]


@pytest.fixture(scope="module")
def running() -> Iterator[Kernel]:
    with kernel() as started:
        yield started


@pytest.mark.parametrize("path", RUN)
def test_a_tutorial_runs_without_a_warning(path: Path, running: Kernel, tmp_path: Path) -> None:
    outputs = [output for cell in running.run(path, tmp_path).cells for output in cell.get("outputs", [])]
    assert [output.text for output in outputs if output.output_type == "stream" and output.name == "stderr"] == []
    shown = [output for output in outputs if output.output_type != "stream"]
    assert any({"text/html", "image/png"} & set(output.data) for output in shown), "nothing is shown"


def test_tutorials_hold_no_outputs_and_are_all_on_the_site() -> None:
    menu = (DOCS.parent / "mkdocs.yml").read_text(encoding="utf-8")
    assert {*re.findall(r"tutorials/(\w+)\.md", menu)} == {path.stem for path in PATHS} >= {*DEAR}
    for path in PATHS:
        cells = nbformat.read(path, as_version=4).cells
        assert not [cell for cell in cells if cell.get("outputs") or cell.get("execution_count")], path.name
        prose = " ".join(cell.source for cell in cells if cell.cell_type == "markdown")
        links = re.findall(r"\]\(([\w./]+)(?:#[\w-]+)?\)", prose)
        assert [link for link in links if not (TUTORIALS / link).exists()] == []
