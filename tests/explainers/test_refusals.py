"""Every row of the table in docs/errors.md is refused as it says, and before the model is run where it says so."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import pytest
import torch
from support.misbehaving import Misbehaving
from support.refusals import ROWS
from support.refusals.row import Row

ROOT = Path(__file__).parents[2]
EACH = {row.given: row for rows in ROWS.values() for row in rows}


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("given", EACH)
def test_a_row_is_refused_as_the_table_says(given: str, monkeypatch: pytest.MonkeyPatch) -> None:
    row: Row = EACH[given]
    forwards = 0
    plain, take = torch.nn.Module.__call__, Misbehaving.take

    def counted(module: torch.nn.Module, *arguments, **options):
        nonlocal forwards
        forwards += hasattr(module, "generation_config") or hasattr(module, "config_class")
        return plain(module, *arguments, **options)

    def taken(server: Misbehaving, *request: Any) -> int:
        nonlocal forwards
        forwards += 1
        return take(server, *request)

    monkeypatch.setattr(torch.nn.Module, "__call__", counted)
    monkeypatch.setattr(Misbehaving, "take", taken)
    if row.kind is None:
        told = str(row.call())
    else:
        with pytest.raises(row.kind) as raised:
            row.call()
        told = str(raised.value)
        assert len(told) < 800
    monkeypatch.undo()
    assert row.said in told, told
    assert (forwards > 0) == row.after


def test_there_are_many_rows_and_none_twice() -> None:
    assert len(EACH) == sum(map(len, ROWS.values())) >= 60


def test_the_page_holds_the_table() -> None:
    page = (ROOT / "docs" / "errors.md").read_text(encoding="utf-8")
    assert runpy.run_path(str(ROOT / "benchmarks" / "errors_page.py"))["filled"](page) == page
