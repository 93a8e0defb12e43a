"""Every row of the table in docs/errors.md is refused as it says, and before the model is run where it says so."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest
import torch
from support.refusals import ROWS
from support.refusals.row import Row

ROOT = Path(__file__).parents[2]
EACH = {row.given: row for rows in ROWS.values() for row in rows}


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("given", EACH)
def test_a_row_is_refused_as_the_table_says(given: str, monkeypatch: pytest.MonkeyPatch) -> None:
    row: Row = EACH[given]
    forwards = 0
    plain = torch.nn.Module.__call__

    def counted(module: torch.nn.Module, *arguments, **options):
        nonlocal forwards
        forwards += hasattr(module, "generation_config") or hasattr(module, "config_class")
        return plain(module, *arguments, **options)

    monkeypatch.setattr(torch.nn.Module, "__call__", counted)
    with pytest.raises(row.kind) as raised:
        row.call()
    monkeypatch.undo()
    assert row.said in str(raised.value), str(raised.value)
    assert len(str(raised.value)) < 800
    assert (forwards > 0) == row.after


def test_there_are_many_rows_and_none_twice() -> None:
    assert len(EACH) == sum(map(len, ROWS.values())) >= 60


def test_the_page_holds_the_table() -> None:
    page = (ROOT / "docs" / "errors.md").read_text(encoding="utf-8")
    assert runpy.run_path(str(ROOT / "benchmarks" / "errors_page.py"))["filled"](page) == page
