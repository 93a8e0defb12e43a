"""The sweep over families stays alive: three of them, one of each kind, and a number that is wrong on purpose."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent.parent / "benchmarks"))
import sweep_checks
from sweep_configs import Family
from sweep_models import families
from sweep_reference import Plain
from sweep_subject import Subject
from sweep_table import PAGE, outcome, right

CHOSEN = [
    Family("causal", "llama", "LlamaForCausalLM"),
    Family("seq2seq", "t5", "T5ForConditionalGeneration"),
    Family("classifier", "bert", "BertForSequenceClassification"),
]


@pytest.mark.parametrize("family", CHOSEN, ids=lambda family: family.key)
def test_right_families_are_found_right(family: Family) -> None:
    assert family in set(families())
    subject = Subject.of(family, "float32")
    assert subject.span >= 1.0, "coalitions must differ, or nothing is tested"
    checks = sweep_checks.chosen(family, "float32")
    assert [check.name for check in checks][:2] == ["exact", "together"]
    for check in (checks[0], checks[3], checks[-1]):
        report = sweep_checks.run(subject, check)
        assert report["status"] in ("exact", "noise"), (check.name, report)
        assert report["rows"] >= 16


def test_a_wrong_number_is_found_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    subject = Subject.of(CHOSEN[0], "float32")
    subject.plain = Plain(subject.model, "causal", subject.tokenizer)
    right = subject.plain.fresh
    monkeypatch.setattr(subject.plain, "fresh", lambda row, *asked: right(row, *asked) + 0.01 * (len(row.ids) % 2))
    report = sweep_checks.run(subject, sweep_checks.CHECKS[0])
    assert report["status"] == "WRONG"
    assert 0 < report["wrong rows"] < report["rows"]
    assert report["error"] == pytest.approx(0.01, rel=0.01)
    assert report["cause"] == "one plain row at a time"


def test_every_family_of_the_auto_mappings_is_listed_once() -> None:
    keys = [family.key for family in families()]
    assert len(keys) == len(set(keys)) > 300
    assert {"causal/GPT2LMHeadModel", "causal/Phi3ForCausalLM (longrope)", "classifier/FNetForSequenceClassification"} <= set(
        keys
    )


def test_the_table_says_what_is_wrong_noted_or_refused_and_where() -> None:
    note = (
        "Rounding to bfloat16 may send a token to other experts: by up to 0.02 (log-probabilities) in 8 rows that were compared"
    )
    ahead = "ValueError: XForCausalLM predicts a token of the answer otherwise when others follow it, here"
    checks: dict[str, dict[str, Any]] = {
        "exact": {"status": "exact", "error": 0.0},
        "together": {"status": "noise", "error": 0.0},
        "replace": {"status": "noted", "error": 0.74, "wrong rows": 1, "rows": 40, "said": note},
        "attend": {"status": "refused", "said": ahead},
    }
    said = "right; noted by up to 0.74 in 1 of 40 rows (0.02 in the 8 that were tried): replace; refused (reads ahead): attend"
    assert outcome({"checks": checks}) == said
    assert right({"dtypes": {"bfloat16": {"checks": checks}}})
    checks["exact"] = {"status": "WRONG", "error": 0.5, "cause": "caches"}
    assert outcome({"checks": checks}).startswith("**WRONG** by up to 0.5 (caches)")
    assert not right({"dtypes": {"bfloat16": {"checks": checks}}})
    assert outcome({"checks": {}, "not built": "RuntimeError"}) == "not built"


def test_the_page_of_families_has_nothing_wrong() -> None:
    rows = [line for line in PAGE.read_text(encoding="utf-8").split("made by")[1].splitlines() if line.startswith("| ")]
    families = [row.split(" | ") for row in rows if not row.startswith(("| family", "|---"))]
    assert len(families) > 300
    assert not [row for row in families if "**" in " ".join(row)]
    assert all("–" not in row[1:] for row in families), "both dtypes"
